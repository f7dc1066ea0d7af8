//! Containers that go away while an engine answers, as podman tells it at the wire.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use trainhook::{
    executor::{CancelOutcome, Executor},
    job::{Handle, Phase},
};
use warp::{
    Filter,
    http::StatusCode,
    path::FullPath,
    reply::{json, with_status},
};

use crate::engines::{build, launch};

/// An engine that has nothing, and cannot say so when it is asked for a list the first few times.
async fn start_engine(spoilt: u32) -> SocketAddr {
    let asked = Arc::new(AtomicU32::new(0));
    let answer = warp::path::full().map(move |path: FullPath| {
        let is_list = path.as_str().ends_with("/containers/json");
        if path.as_str().contains("/version") {
            let version = json!({ "ApiVersion": "1.41", "MinAPIVersion": "1.24" });
            with_status(json(&version), StatusCode::OK)
        } else if is_list && asked.fetch_add(1, Ordering::Relaxed) >= spoilt {
            with_status(json(&json!([])), StatusCode::OK)
        } else {
            with_status(json(&went_away()), StatusCode::INTERNAL_SERVER_ERROR)
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(warp::serve(answer).incoming(listener).run());
    address
}

/// Captured from podman 4.3.1.
fn went_away() -> Value {
    json!({
        "cause": "no such container",
        "message": "container 979503ec8c37 does not exist in database: no such container",
        "response": 500,
    })
}

fn handle(folder: &Path) -> Handle {
    let launch = launch(folder);
    let data: Value = json!({
        "launch": launch.id.to_string(), "container": "979503ec8c37", "server": "our-server",
        "attempt_dir": folder,
    });
    Handle {
        launch_id: launch.id,
        version: 1,
        data,
        place: None,
    }
}

async fn executor(folder: &Path, spoilt: u32) -> Arc<dyn Executor> {
    let address = start_engine(spoilt).await;
    let table = format!("host = \"tcp://{address}\"\nimage = \"a:1\"\n");
    build("container", folder, &table)
}

async fn look(spoilt: u32) -> Result<Phase, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let executor = executor(folder.path(), spoilt).await;
    let handles = [handle(folder.path())];
    let seen = executor.observe(&handles).await.pop().expect("one answer");
    seen.map(|seen| seen.phase).map_err(|error| error.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_a_removal_spoilt_is_asked_for_again() {
    assert_eq!(look(3).await, Ok(Phase::Gone));
    let error = look(1000).await.expect_err("it never answers");
    assert!(error.contains("no such container"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_away_while_it_is_ended_has_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let executor = executor(folder.path(), 0).await;
    let handle = handle(folder.path());
    let cancelled = executor.cancel(&handle, Duration::ZERO).await;
    assert_eq!(cancelled, Ok(CancelOutcome::AlreadyEnded));
    assert_eq!(executor.cleanup(&handle).await, Ok(()));
}
