//! Which files are fetched, where they lie, and what the lines say then.

use std::fs;

use serde_json::{Value, json};
use trainhook::{
    config::{Secret, Tolerance},
    dataset::{Row, Split},
    emulator::{Dataset, Emulator, Options, Timing},
};

use super::desk::{Desk, context_at, image, no_cache};
use crate::{
    downloads::hostile::{Hostile, whole},
    support::stack::API_KEY,
};

/// The lines that an export of the shapes gives, attachments included.
async fn shapes() -> (Emulator, Vec<Value>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let options = Options {
        api_key: Some(Secret::new(API_KEY)),
        timing: Timing {
            export_takes: std::time::Duration::ZERO,
            ..Timing::default()
        },
        dataset: Some(Dataset::shapes()),
    };
    let emulator = Emulator::start(listener, options).expect("the emulator starts");
    let (_, run) = emulator.create_model_run(None, "a run");
    let client = trainhook::outbound::client_builder()
        .build()
        .expect("a client");
    let post = async |body: Value| -> Value {
        let post = client
            .post(emulator.graphql_url())
            .bearer_auth(API_KEY)
            .json(&body);
        post.send()
            .await
            .expect("an answer")
            .json()
            .await
            .expect("JSON")
    };
    let begin = "mutation x($input: I!){exportDataRowsInModelRun(input: $input){taskId}}";
    let input = json!({
        "filters": { "modelRunId": run }, "params": { "includeAttachments": true }, "streamable": true,
    });
    let begun = post(json!({ "query": begin, "variables": { "input": input } })).await;
    let task = &begun["data"]["exportDataRowsInModelRun"]["taskId"];
    let file = "query x($id: ID!){task(where: {id: $id}){exportFileFromOffset(streamType: RESULT, offset: \"0\"){file}}}";
    let found = post(json!({ "query": file, "variables": { "id": task } })).await;
    let url = found["data"]["task"]["exportFileFromOffset"]["file"]
        .as_str()
        .expect("an address")
        .to_owned();
    let text = client
        .get(url)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let lines = lines.collect();
    (emulator, lines)
}

fn without_places(line: &Value) -> Value {
    match line {
        Value::Object(entries) => {
            let kept = entries.iter().filter(|(key, _)| *key != "local_path");
            Value::Object(
                kept.map(|(key, value)| (key.clone(), without_places(value)))
                    .collect(),
            )
        }
        Value::Array(values) => values.iter().map(without_places).collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_attachments_and_masks_lie_where_the_lines_say() {
    let (emulator, lines) = shapes().await;
    let desk = Desk::new(&lines[..60]).at(emulator.graphql_url());
    desk.lay(Split::Test, &lines[60..]);
    let context = context_at(&no_cache(), Some(&emulator.graphql_url()));
    let report = desk.fetch_with(&context).await.expect("all is there");
    let (mut files, mut masks) = (0, 0);
    for (split, before) in [(Split::Training, &lines[..60]), (Split::Test, &lines[60..])] {
        let after = desk.lines(split);
        assert_eq!(after.iter().map(without_places).collect::<Vec<_>>(), before);
        for line in &after {
            let row = Row::read(line.to_string().as_bytes()).expect("a row");
            assert_eq!(
                row.data_row.local_path,
                Some(format!("files/{}.png", row.data_row.id))
            );
            assert!(
                desk.content(&line["data_row"]["local_path"])
                    .starts_with(b"\x89PNG")
            );
            let attachments = line["attachments"].as_array().expect("a list");
            assert!(
                attachments[0].get("local_path").is_none(),
                "text is here already"
            );
            for attachment in &attachments[1..] {
                assert!(
                    desk.content(&attachment["local_path"])
                        .starts_with(b"\x89PNG")
                );
                files += 1;
            }
            for object in row.labels().flat_map(|label| &label.annotations.objects) {
                let mask = object.mask.as_ref().map(|mask| json!(mask.local_path));
                files += u64::from(mask.is_some());
                masks += u64::from(mask.is_some());
                assert!(mask.is_none_or(|place| desk.content(&place).starts_with(b"\x89PNG")));
            }
            files += 1;
        }
    }
    assert!(masks > 120);
    assert_eq!(
        (report.wanted, report.here, report.missing),
        (files, files, 0)
    );
    let split = report
        .splits
        .iter()
        .find(|file| file.split == Split::Test)
        .expect("told");
    let text = fs::read(desk.data().join("test.ndjson")).expect("a split file");
    assert_eq!((split.rows, split.bytes), (60, text.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_stays_as_it_came_but_for_the_places() {
    let server = Hostile::answering("127.0.0.1", whole(b"content", &[])).await;
    let url = server.url("/a");
    let text = format!(
        r#" {{"experiments":{{"m":{{"runs":{{"r":{{"labels":[{{"annotations":{{"objects":[{{"mask":{{ "url":"{url}" }},"n":1.10}}]}}}}]}}}}}}}},  "data_row" : {{ "id":"a\u0041","row_data":"{url}"}}, "big":12345678901234567890123, "x":1e400}} "#
    );
    let desk = Desk::new(&[]);
    let file = desk.data().join("training.ndjson");
    fs::write(&file, format!("{text}\n")).expect("the folder is writable");
    desk.fetch().await.expect("all is there");
    let wanted = text
        .replace(
            r#"{ "url""#,
            r#"{"local_path":"files/aA.mask-1.png", "url""#,
        )
        .replace(r#"{ "id""#, r#"{"local_path":"files/aA", "id""#);
    assert_eq!(
        fs::read_to_string(&file).expect("text"),
        format!("{wanted}\n")
    );
    // Once more, and nothing changes.
    desk.fetch().await.expect("all is there");
    assert_eq!(
        fs::read_to_string(&file).expect("text"),
        format!("{wanted}\n")
    );
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_stays_in_its_line_and_foreign_addresses_are_missing() {
    let text =
        json!({ "data_row": { "id": "t", "row_data": "See https://example.com for more." } });
    let foreign = image("f", "gs://bucket/image.png");
    let desk = Desk::new(&[text.clone(), foreign]).tolerating(Tolerance::Count(1));
    let report = desk.fetch().await.expect("one may be missing");
    assert_eq!((report.wanted, report.missing), (1, 1));
    assert_eq!(report.first_missing[0].data_row, "f");
    assert!(
        report.first_missing[0].reason.contains("neither http"),
        "{report:?}"
    );
    assert_eq!(desk.lines(Split::Training)[0], text);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_leads_out_of_the_folder() {
    let server = Hostile::answering("127.0.0.1", whole(b"content", &[])).await;
    let long = "x".repeat(300);
    let ids = [
        "../../../escaped",
        "/etc/passwd",
        "",
        ".",
        "..",
        "a b",
        "a\0b",
        "ü",
        &long,
        "good-ID_1",
    ];
    let lines: Vec<Value> = ids
        .iter()
        .map(|id| image(id, &server.url("/a.b/c?d=.e/f")))
        .collect();
    let desk = Desk::new(&lines);
    desk.fetch().await.expect("all is there");
    let mut names: Vec<String> = fs::read_dir(desk.data().join("files"))
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    assert_eq!(names.len(), ids.len());
    let of_us = names.iter().filter(|name| name.starts_with("hash."));
    assert_eq!(of_us.count(), ids.len() - 1, "{names:?}");
    assert!(names.contains(&"good-ID_1.png".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_goes_to_labelbox_for_masks_and_to_nobody_else() {
    let labelbox = Hostile::answering("127.0.0.1", whole(b"mask", &[])).await;
    let storage = Hostile::answering("127.0.0.2", whole(b"image", &[])).await;
    let mut line = image("a", &labelbox.url("/row"));
    let object = |url: String| json!({ "name": "o", "mask": { "url": url } });
    let objects = [object(labelbox.url("/mask")), object(storage.url("/mask"))];
    line["experiments"] = json!({ "m": { "runs": { "r": { "labels": [{ "annotations": { "objects": objects } }] } } } });
    line["attachments"] = json!([{ "type": "IMAGE", "value": storage.url("/attached") }]);
    let endpoint = labelbox.url("/graphql");
    let desk = Desk::new(&[line]).at(endpoint.clone());
    let context = context_at(&no_cache(), Some(&endpoint));
    desk.fetch_with(&context).await.expect("all is there");
    let mut seen: Vec<(String, bool)> = labelbox
        .heads()
        .into_iter()
        .chain(storage.heads())
        .map(|head| {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            (path, head.contains("authorization"))
        })
        .collect();
    seen.sort();
    let wanted = [
        ("/attached", false),
        ("/mask", false),
        ("/mask", true),
        ("/row", false),
    ];
    assert_eq!(seen, wanted.map(|(path, key)| (path.to_owned(), key)));
}
