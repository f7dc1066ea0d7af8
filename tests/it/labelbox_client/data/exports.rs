//! Exports and their results.

use serde_json::{Value, json};
use trainhook::{
    config::Parts,
    labelbox::{ExportSize, TaskState},
};

use super::{
    super::{Fixture, capture, model_run_id},
    assert_asked_as, replaying,
};
use crate::support::scripted::Reply;

#[tokio::test]
async fn an_export_is_begun_as_the_sdk_begins_it() {
    let captured = &capture("export_FAILED")["requests"][0];
    let fixture = replaying(captured).await;
    let (run, parts) = (model_run_id(), Parts::default());
    let begun = fixture.labelbox.create_export(&run, "x", parts).await;
    assert_eq!(begun.as_deref(), Ok("t1"));
    assert_asked_as(&fixture.only_request(), captured);
}

#[tokio::test]
async fn each_part_of_an_export_has_its_flag() {
    let flag = |parts: Parts| async move {
        let created =
            json!({"data":{"exportDataRowsInModelRun":{"taskId":"t","isStreamable":true}}});
        let fixture = Fixture::new([Reply::new(200, created)]).await;
        let run = model_run_id();
        let begun = fixture.labelbox.create_export(&run, "x", parts).await;
        begun.expect("begun");
        let sent = fixture.only_request().json();
        let params = sent["variables"]["input"]["params"].as_object().cloned();
        let params = params.expect("params").into_iter();
        let set: Vec<String> = params
            .filter(|(_, on)| on == true)
            .map(|(name, _)| name)
            .collect();
        set
    };
    let none = Parts::default();
    let wanted = [
        (
            Parts {
                attachments: true,
                ..none
            },
            "includeAttachments",
        ),
        (
            Parts {
                metadata: true,
                ..none
            },
            "includeMetadata",
        ),
        (
            Parts {
                embeddings: true,
                ..none
            },
            "includeEmbeddings",
        ),
        (
            Parts {
                predictions: true,
                ..none
            },
            "includePredictions",
        ),
    ];
    for (parts, name) in wanted {
        assert_eq!(flag(parts).await, [name]);
    }
}

#[tokio::test]
async fn a_task_is_followed_as_the_sdk_follows_it() {
    let captured = capture("export_streamable");
    let calls = &captured["requests"];
    let fixture = replaying(&calls[1]).await;
    let user = fixture.labelbox.user_id().await.expect("a user");
    assert_asked_as(&fixture.only_request(), &calls[1]);
    let mut seen = Vec::new();
    for call in [&calls[2], &calls[3]] {
        let fixture = replaying(call).await;
        let task = fixture
            .labelbox
            .export_task(&user, "cl0taskxxxxxxxxxxxxxxxxxx")
            .await;
        let task = task.expect("an answer").expect("a task");
        seen.push((task.state, task.percent));
        assert_asked_as(&fixture.only_request(), call);
    }
    assert_eq!(
        seen,
        [
            (TaskState::InProgress, Some(10.0)),
            (TaskState::Complete, Some(100.0))
        ]
    );
}

#[tokio::test]
async fn a_task_that_failed_or_is_not_there_is_told_apart() {
    let captured = &capture("export_FAILED")["requests"][2];
    let fixture = replaying(captured).await;
    let task = fixture
        .labelbox
        .export_task("u1", "t1")
        .await
        .expect("an answer");
    assert_eq!(task.expect("a task").state, TaskState::Failed);
    let fixture = replaying(captured).await;
    let other = fixture
        .labelbox
        .export_task("u1", "t2")
        .await
        .expect("an answer");
    assert_eq!(other, None);
}

#[tokio::test]
async fn a_result_is_asked_for_by_offset() {
    let captured = capture("export_streamable");
    let (task, calls) = ("cl0taskxxxxxxxxxxxxxxxxxx", &captured["requests"]);
    let fixture = replaying(&calls[5]).await;
    let size = fixture.labelbox.export_size(task).await.expect("an answer");
    assert_eq!(
        size,
        Some(ExportSize {
            bytes: 582,
            lines: 2
        })
    );
    assert_asked_as(&fixture.only_request(), &calls[5]);
    for (call, offset, end) in [(&calls[6], 0, 542), (&calls[8], 542, 582)] {
        let fixture = replaying(call).await;
        let file = fixture
            .labelbox
            .export_file(task, offset)
            .await
            .expect("a file");
        assert_eq!((file.start, file.end), (offset, end));
        assert!(file.url.starts_with("http://"), "{}", file.url);
        assert_asked_as(&fixture.only_request(), call);
    }
}

#[tokio::test]
async fn a_run_without_rows_has_no_result() {
    let captured = capture("export_EMPTY");
    let mut heads = captured["requests"].as_array().expect("calls").iter();
    let result = |call: &&Value| call["json"]["variables"]["streamType"] == "RESULT";
    let call = heads.rfind(result).expect("asked for the result");
    let fixture = replaying(call).await;
    assert_eq!(fixture.labelbox.export_size("t").await, Ok(None));
}

#[tokio::test]
async fn numbers_may_come_as_texts_and_a_file_of_other_bytes_is_refused() {
    let file = |start: Value, end: Value| {
        let offsets = json!({ "start": start, "end": end });
        let file = json!({ "offsets": offsets, "lines": null, "file": "http://x/" });
        Reply::new(
            200,
            json!({ "data": { "task": { "exportFileFromOffset": file } } }),
        )
    };
    let fixture = Fixture::new([file(json!("10"), json!("19"))]).await;
    let found = fixture.labelbox.export_file("t", 12).await.expect("a file");
    assert_eq!((found.start, found.end), (10, 20));
    for (start, end) in [(13, 19), (0, 11), (19, 10)] {
        let fixture = Fixture::new([file(json!(start), json!(end))]).await;
        let refused = fixture.labelbox.export_file("t", 12).await;
        assert!(refused.is_err_and(|error| error.message.contains("other bytes")));
    }
}
