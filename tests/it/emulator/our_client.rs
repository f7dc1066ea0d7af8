//! The program's own client against the emulator: the two share no code, so each checks the other.

use serde_json::json;
use tempfile::TempDir;
use trainhook::{
    config::{Secret, SecretRef},
    emulator::{Emulator, Fault, FaultKind, Options},
    job::{ModelRunId, PipelineStatus, Report},
    labelbox::{Kind, Labelbox, LabelboxError},
};

use super::{LIMIT, start_with};

struct Pair {
    emulator: Emulator,
    labelbox: Labelbox,
    run: String,
    _folder: TempDir,
}

impl Pair {
    async fn new(key: &str) -> Self {
        let api_key = Some(Secret::new("right-key"));
        let emulator = start_with(Options {
            api_key,
            ..Options::default()
        })
        .await;
        let (_, run) = emulator.create_model_run(None, "run");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, key).expect("a file");
        let labelbox = Labelbox::new(&emulator.graphql_url(), SecretRef::File(file), LIMIT);
        Self {
            emulator,
            labelbox,
            run,
            _folder: folder,
        }
    }

    async fn tell(&self, run: &str, message: Option<String>) -> Result<(), LabelboxError> {
        let report = Report {
            status: PipelineStatus::Failed,
            error_message: message,
            metadata: [("loss".to_owned(), "0.5".to_owned())].into(),
        };
        self.labelbox.update_status(&id(run), &report).await
    }
}

fn id(run: &str) -> ModelRunId {
    run.parse().expect("an id")
}

#[tokio::test]
async fn what_is_told_is_read_back() {
    let pair = Pair::new("right-key").await;
    let told = pair.tell(&pair.run, Some("broken".to_owned())).await;
    told.expect("a report");
    let shown = pair.labelbox.read_pipeline(&id(&pair.run)).await;
    let shown = shown.expect("a pipeline");
    assert_eq!(shown.status.as_deref(), Some("FAILED"));
    assert_eq!(shown.error_message.as_deref(), Some("broken"));
    assert_eq!(shown.metadata["loss"], "0.5");

    let config = json!({ "epochs": 3 });
    pair.emulator
        .set_config(&pair.run, config.as_object().cloned());
    let run = pair.labelbox.model_run(&id(&pair.run)).await;
    let run = run.expect("an answer").expect("a run");
    assert_eq!((run.name.as_str(), run.training_metadata), ("run", config));
}

#[tokio::test]
async fn each_refusal_is_understood() {
    let pair = Pair::new("right-key").await;
    let overlong = pair.tell(&pair.run, Some("x".repeat(256))).await;
    assert_eq!(overlong.expect_err("too long").kind, Kind::Refused);
    let unknown = "00000000-0000-0000-0000-000000000000";
    let error = pair.tell(unknown, None).await.expect_err("no such run");
    assert_eq!(error.kind, Kind::NotFound);
    let run = pair.labelbox.model_run(&id(unknown)).await;
    assert_eq!(run.expect("an answer"), None);
    assert_eq!(pair.emulator.timeline(&pair.run), []);

    let stranger = Pair::new("wrong-key").await;
    let error = stranger.tell(&stranger.run, None).await;
    assert_eq!(error.expect_err("a wrong key").kind, Kind::Authentication);
}

#[tokio::test]
async fn each_fault_is_understood() {
    let pair = Pair::new("right-key").await;
    let status = |status, headers| FaultKind::Status {
        status,
        body: None,
        headers,
    };
    let retry_after = vec![("retry-after".to_owned(), "7".to_owned())];
    for (kind, understood, effects) in [
        (status(429, retry_after), Kind::RateLimited, 0),
        (status(502, Vec::new()), Kind::Unavailable, 0),
        (FaultKind::DropBefore, Kind::Interrupted, 0),
        (FaultKind::DropAfter, Kind::Interrupted, 1),
    ] {
        let fault = Fault::once("updateTrainingPipeline", kind.clone());
        pair.emulator.add_fault(fault);
        let error = pair.tell(&pair.run, None).await.expect_err("a fault");
        assert_eq!(error.kind, understood, "{kind:?}");
        assert_eq!(error.retry_after.is_some(), understood == Kind::RateLimited);
        assert_eq!(pair.emulator.timeline(&pair.run).len(), effects, "{kind:?}");
    }
}
