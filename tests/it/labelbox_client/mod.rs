//! The GraphQL client against what the official SDK really sent and was really answered
//! (captured from labelbox 7.17.0).

mod budget;
mod data;
mod errors;
mod key;
mod queries;

use std::{fs, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use trainhook::{
    config::SecretRef,
    job::{ModelRunId, PipelineStatus, Report},
    labelbox::Labelbox,
};

use crate::support::scripted::{Recorded, Reply, Scripted};

/// The key that stands in the captures.
pub(crate) const KEY: &str = "x-api-key";

/// The run that stands in the captures.
const MODEL_RUN_ID: &str = "9da6c7e2-bc0d-0679-1e2e-a6a4e28475c8";

/// A client of a scripted server, its key in a file.
pub(crate) struct Fixture {
    folder: TempDir,
    server: Scripted,
    pub(crate) labelbox: Labelbox,
}

impl Fixture {
    pub(crate) async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with_timeout(replies, Duration::from_secs(30)).await
    }

    async fn with_timeout(replies: impl IntoIterator<Item = Reply>, timeout: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Scripted::start(replies).await;
        let key_file = folder.path().join("key");
        fs::write(&key_file, format!("{KEY}\n")).expect("a key file");
        let labelbox = Labelbox::new(&server.url("/graphql"), SecretRef::File(key_file), timeout);
        Self {
            folder,
            server,
            labelbox,
        }
    }

    fn write_key(&self, key: &str) {
        fs::write(self.folder.path().join("key"), key).expect("a key file");
    }

    /// Plays the first reply of a capture.
    async fn replaying(capture: &Value) -> Self {
        Self::new([reply(&capture["requests"][0]["reply"])]).await
    }

    /// All requests.
    fn requests(self) -> Vec<Recorded> {
        self.server.finish()
    }

    /// The only request.
    fn only_request(self) -> Recorded {
        let mut requests = self.server.finish();
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }
}

fn capture(name: &str) -> Value {
    let path = format!(
        "{}/tests/fixtures/labelbox/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(path).expect("a capture");
    serde_json::from_str(&text).expect("a capture is JSON")
}

/// A capture without a reply is of a connection that was closed.
fn reply(captured: &Value) -> Reply {
    let Some(status) = captured["status"].as_u64() else {
        return Reply::Close;
    };
    let status = u16::try_from(status).expect("an HTTP status");
    match &captured["body"] {
        Value::String(text) => Reply::new(status, text),
        json => Reply::new(status, json),
    }
}

pub(crate) fn model_run_id() -> ModelRunId {
    MODEL_RUN_ID.parse().expect("a model run id")
}

pub(crate) fn report(status: PipelineStatus) -> Report {
    Report {
        status,
        error_message: None,
        metadata: Default::default(),
    }
}
