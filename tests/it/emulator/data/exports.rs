//! Exports, and the files that they lie in.

use serde_json::{Value, json};
use trainhook::emulator::{Dataset, Fault, FaultKind};

use super::{super::client, begin_export, data, fetch, header, start};

#[tokio::test]
async fn an_export_lies_in_files_that_are_cut_anywhere() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let task = begin_export(&emulator, &run).await;
    let (all, files) = fetch(&emulator, &task).await;
    assert_eq!(files, all.len().div_ceil(10_007));
    let lines: Vec<Value> = all
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect();
    assert_eq!(lines.len(), 1797);
    assert_eq!(
        header(&emulator, &task).await["exportMetadataHeader"]["totalLines"],
        1797
    );
}

#[tokio::test]
async fn generated_rows_are_the_same_whichever_way_they_are_asked_for() {
    let (emulator, run) = start(Dataset::generated(257, 1000), 999).await;
    let task = begin_export(&emulator, &run).await;
    let (all, _) = fetch(&emulator, &task).await;
    assert_eq!(all.len(), 257 * 1000);
    let lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
    assert!(lines.iter().all(|line| line.len() == 1000));
    let row: Value = serde_json::from_slice(lines[123]).expect("JSON");
    assert_eq!(row["data_row"]["global_key"], "row-000000123");
    assert!(row.to_string().contains("kind-d"), "{row}");
    let query = "query x($run: ID!){annotationGroups(where: {modelRunId: {id: $run}}, after: \"after-120\", first: 5)\
                 {nodes{dataSplit dataRow{id globalKey}} pageInfo{endCursor}}}";
    let page = data(&emulator, query, json!({ "run": run })).await["annotationGroups"].clone();
    assert_eq!(page["nodes"][3]["dataRow"]["globalKey"], "row-000000123");
    assert_eq!(page["nodes"][3]["dataRow"]["id"], row["data_row"]["id"]);
    assert_eq!(page["pageInfo"]["endCursor"], "after-125");
}

#[tokio::test]
async fn a_run_without_rows_exports_nothing() {
    let (emulator, run) = start(Dataset::generated(0, 700), 999).await;
    let task = begin_export(&emulator, &run).await;
    let header = header(&emulator, &task).await;
    assert_eq!(
        (&header["status"], &header["exportMetadataHeader"]),
        (&json!("COMPLETE"), &Value::Null)
    );
}

#[tokio::test]
async fn a_task_fails_on_demand_and_takes_its_time_on_demand() {
    let (emulator, run) = start(Dataset::generated(1, 700), 999).await;
    let message = "out of luck".to_owned();
    emulator.add_fault(Fault::once(
        "exportDataRowsInModelRun",
        FaultKind::Fails { message },
    ));
    let failed = header(&emulator, &begin_export(&emulator, &run).await).await;
    assert_eq!(
        (&failed["status"], &failed["errors"]),
        (&json!("FAILED"), &json!("out of luck"))
    );
    let slow = FaultKind::Takes {
        milliseconds: 600_000,
    };
    emulator.add_fault(Fault::once("exportDataRowsInModelRun", slow));
    let slow = header(&emulator, &begin_export(&emulator, &run).await).await;
    assert_eq!(
        (&slow["status"], &slow["exportMetadataHeader"]),
        (&json!("IN_PROGRESS"), &Value::Null)
    );
}

#[tokio::test]
async fn a_file_needs_no_key_but_its_whole_address() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let task = begin_export(&emulator, &run).await;
    fetch(&emulator, &task).await;
    let path = emulator.file_requests()[0].clone();
    let url = format!("http://{}{path}", emulator.address());
    let bare = client().get(&url).send().await.expect("an answer");
    assert_eq!(bare.status(), 403);
    let forged = client()
        .get(format!("{url}?expires=99999999999&signature=00"))
        .send()
        .await;
    assert_eq!(forged.expect("an answer").status(), 403);
}

#[tokio::test]
async fn a_file_can_be_fetched_from_anywhere_in_it_and_is_cut_on_demand() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let query = "query x($run: ID!){annotationGroups(where: {modelRunId: {id: $run}}, first: 1){nodes{dataRow{rowData}}}}";
    let page = data(&emulator, query, json!({ "run": run })).await;
    let url = page["annotationGroups"]["nodes"][0]["dataRow"]["rowData"]
        .as_str()
        .expect("an address");
    let whole = client()
        .get(url)
        .send()
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("a body");
    let rest = client()
        .get(url)
        .header("range", "bytes=50-")
        .send()
        .await
        .expect("an answer");
    assert_eq!(rest.status(), 206);
    assert_eq!(
        rest.headers()["content-range"],
        format!("bytes 50-{}/{}", whole.len() - 1, whole.len())
    );
    assert_eq!(rest.bytes().await.expect("a body"), whole[50..]);
    emulator.add_fault(Fault::once(
        "/files/media",
        FaultKind::TruncateBody { bytes: 20 },
    ));
    let cut = client().get(url).send().await.expect("a head");
    assert_eq!(cut.content_length(), Some(whole.len() as u64));
    cut.bytes().await.expect_err("less than was announced");
}

#[tokio::test]
async fn a_file_that_is_here_is_not_sent_again_and_another_one_not_taken_up() {
    let (emulator, run) = start(Dataset::digits(), 10_007).await;
    let query = "query x($run: ID!){annotationGroups(where: {modelRunId: {id: $run}}, first: 1){nodes{dataRow{rowData}}}}";
    let page = data(&emulator, query, json!({ "run": run })).await;
    let url = page["annotationGroups"]["nodes"][0]["dataRow"]["rowData"].clone();
    let url = url.as_str().expect("an address");
    let get = async |headers: &[(&str, &str)]| {
        let mut get = client().get(url);
        for (name, value) in headers {
            get = get.header(*name, *value);
        }
        get.send().await.expect("an answer")
    };
    let tag = get(&[]).await.headers()["etag"].clone();
    let tag = tag.to_str().expect("text");
    assert_eq!(get(&[("if-none-match", tag)]).await.status(), 304);
    let other = "\"other\"";
    assert_eq!(get(&[("if-none-match", other)]).await.status(), 200);
    let from = ("range", "bytes=50-");
    assert_eq!(get(&[from, ("if-range", tag)]).await.status(), 206);
    assert_eq!(get(&[from, ("if-range", other)]).await.status(), 200);
}
