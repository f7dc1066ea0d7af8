//! Lists of containers, as an engine at the wire answers them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use serde_json::{Value, json};
use trainhook::job::{Handle, Phase};
use warp::{
    Filter,
    http::StatusCode,
    reply::{json, with_status},
};

use crate::engines::{build, launch};

/// An engine that has nothing, and cannot say so when it is asked for the first few times.
async fn start_engine(spoilt: u32) -> SocketAddr {
    let asked = Arc::new(AtomicU32::new(0));
    let answer = warp::path::full().map(move |path: warp::path::FullPath| {
        if !path.as_str().ends_with("/containers/json") {
            let version = json!({ "ApiVersion": "1.41", "MinAPIVersion": "1.24" });
            return with_status(json(&version), StatusCode::OK);
        }
        match asked.fetch_add(1, Ordering::Relaxed) {
            // Captured from podman 4.3.1.
            at if at < spoilt => with_status(
                json(&json!({
                    "cause": "no such container",
                    "message": "container 979503ec8c37 does not exist in database: no such container",
                    "response": 500,
                })),
                StatusCode::INTERNAL_SERVER_ERROR,
            ),
            _ => with_status(json(&json!([])), StatusCode::OK),
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(warp::serve(answer).incoming(listener).run());
    address
}

fn handle(folder: PathBuf) -> Handle {
    let launch = launch(&folder);
    let data: Value = json!({
        "launch": launch.id.to_string(), "container": "979503ec8c37", "server": "our-server",
        "attempt_dir": folder,
    });
    Handle {
        launch_id: launch.id,
        version: 1,
        data,
    }
}

async fn look(spoilt: u32) -> Result<Phase, String> {
    let address = start_engine(spoilt).await;
    let folder = tempfile::tempdir().expect("a folder");
    let table = format!("host = \"tcp://{address}\"\nimage = \"a:1\"\n");
    let executor = build("container", folder.path(), &table);
    let handles = [handle(folder.path().to_owned())];
    let seen = executor.observe(&handles).await.pop().expect("one answer");
    seen.map(|seen| seen.phase).map_err(|error| error.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_a_removal_spoilt_is_asked_for_again() {
    assert_eq!(look(3).await, Ok(Phase::Gone));
    let error = look(1000).await.expect_err("it never answers");
    assert!(error.contains("no such container"), "{error}");
}
