//! Imports of predictions.

use serde_json::{Value, json};
use trainhook::emulator::{Dataset, Emulator, Fault, FaultKind};

use super::{super::client, IMPORT, data, start};

/// Imports lines as a form, and answers what the call was answered.
async fn import(emulator: &Emulator, run: &str, name: &str, lines: &str) -> Value {
    let query = "mutation x($run: ID!, $name: String!, $file: Upload!){createModelErrorAnalysisPredictionImport\
                 (data: {modelRunId: $run, name: $name, filePayload: {file: $file}}){state}}";
    let operations =
        json!({ "query": query, "variables": { "run": run, "name": name, "file": null } });
    let part = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    };
    let form = part("operations", &operations.to_string())
        + &part("map", r#"{"f": ["variables.file"]}"#)
        + &part("f", lines)
        + "--b--\r\n";
    let url = format!("http://{}/graphql", emulator.address());
    let post = client()
        .post(url)
        .bearer_auth("any-key")
        .header("content-type", "multipart/form-data; boundary=b");
    post.body(form)
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON")
}

fn line(number: u32, answer: &str) -> String {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    let (row, answer) = (
        json!({ "globalKey": format!("row-{number:09}") }),
        json!({ "name": answer }),
    );
    json!({ "uuid": uuid, "dataRow": row, "name": "kind", "answer": answer }).to_string()
}

#[tokio::test]
async fn a_name_is_imported_once_and_a_uuid_is_taken_once() {
    let (emulator, run) = start(Dataset::generated(10, 700), 999).await;
    let lines = [
        line(1, "kind-b"),
        line(2, "kind-a"),
        line(3, "kind-x"),
        line(11, "kind-a"),
        line(1, "kind-b"),
    ];
    let first = import(&emulator, &run, "one", &lines.join("\n")).await;
    assert_eq!(
        first["data"]["createModelErrorAnalysisPredictionImport"]["state"], "FINISHED",
        "{first}"
    );
    let again = import(&emulator, &run, "one", &lines.join("\n")).await;
    assert_eq!(
        again["errors"][0]["extensions"]["code"],
        "RESOURCE_CONFLICT"
    );
    let summary = emulator.predictions(&run).expect("a run");
    assert_eq!((summary.predictions, summary.repeated_imports), (2, 1));
    assert_eq!(
        (summary.imports[0].lines, summary.imports[0].refused),
        (5, 3)
    );
    let kind = &summary.features["kind"];
    assert_eq!((kind.labels, kind.right, kind.accuracy), (2, 1, Some(0.5)));
    let found = data(&emulator, IMPORT, json!({ "run": run, "name": "one" })).await;
    let url = found["modelErrorAnalysisPredictionImport"]["statusFileUrl"]
        .as_str()
        .expect("an address");
    let statuses = client()
        .get(url)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text");
    let statuses: Vec<Value> = statuses
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let words: Vec<&str> = statuses
        .iter()
        .filter_map(|status| status["status"].as_str())
        .collect();
    assert_eq!(
        words,
        ["SUCCESS", "SUCCESS", "FAILURE", "FAILURE", "FAILURE"]
    );
}

#[tokio::test]
async fn an_import_runs_fails_and_refuses_lines_on_demand() {
    let (emulator, run) = start(Dataset::generated(10, 700), 999).await;
    let lines: Vec<String> = (1..7).map(|number| line(number, "kind-a")).collect();
    let (lines, create) = (lines.join("\n"), "createModelErrorAnalysisPredictionImport");
    let state = |answer: Value| answer["data"][create]["state"].clone();
    emulator.add_fault(Fault::once(
        create,
        FaultKind::Takes {
            milliseconds: 600_000,
        },
    ));
    assert_eq!(state(import(&emulator, &run, "slow", "").await), "RUNNING");
    let message = String::new();
    emulator.add_fault(Fault::once(create, FaultKind::Fails { message }));
    assert_eq!(
        state(import(&emulator, &run, "failed", &lines).await),
        "FAILED"
    );
    emulator.add_fault(Fault::once(create, FaultKind::RefusesEvery { lines: 3 }));
    assert_eq!(
        state(import(&emulator, &run, "some", &lines).await),
        "FINISHED"
    );
    let summary = emulator.predictions(&run).expect("a run");
    assert_eq!(summary.predictions, 4);
}

#[tokio::test]
async fn a_failed_import_says_why_in_its_files_whose_addresses_expire() {
    let (emulator, run) = start(Dataset::generated(10, 700), 999).await;
    let create = "createModelErrorAnalysisPredictionImport";
    let message = "no luck".to_owned();
    emulator.add_fault(Fault::once(create, FaultKind::Fails { message }));
    import(&emulator, &run, "failed", &line(1, "kind-a")).await;
    let addresses = async || {
        let found = data(&emulator, IMPORT, json!({ "run": run, "name": "failed" })).await;
        let import = found["modelErrorAnalysisPredictionImport"].clone();
        let address = |key: &str| import[key].as_str().expect("an address").to_owned();
        [address("errorFileUrl"), address("statusFileUrl")]
    };
    let fetch = async |url: &str| {
        let answer = client().get(url).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    let [errors, statuses] = addresses().await;
    let (_, text) = fetch(&errors).await;
    let error: Value = serde_json::from_str(&text).expect("a line of JSON");
    assert_eq!(
        (&error["status"], &error["errors"][0]["message"]),
        (&json!("FAILURE"), &json!("no luck"))
    );
    assert_eq!(fetch(&statuses).await, (200, text.clone()));

    let expires = FaultKind::AddressExpires;
    emulator.add_fault(Fault::once("/files/imports/errors", expires));
    assert_eq!(fetch(&statuses).await.0, 200);
    assert_eq!(fetch(&errors).await.0, 403);
    assert_eq!(fetch(&errors).await.0, 403);
    let [again, _] = addresses().await;
    assert_eq!(fetch(&again).await, (200, text));
}
