//! Ray's odd answers, played at the wire (captured from Ray 2.60.0 where they are quoted).

mod check;
mod ends;
mod looks;
mod packages;
mod submits;

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};
use trainhook::{
    executor::{Executor, Launch},
    job::{Handle, LaunchId},
};

use crate::{
    engines::{build, launch},
    support::scripted::{Recorded, Reply, Scripted},
};

const SERVER: &str = "our server";

/// An executor of a Ray that plays this script; its patience is short.
async fn played(replies: impl IntoIterator<Item = Reply>) -> (Scripted, Arc<dyn Executor>) {
    played_with("supervisor = \"shared\"", replies).await
}

async fn played_with(
    more: &str,
    replies: impl IntoIterator<Item = Reply>,
) -> (Scripted, Arc<dyn Executor>) {
    let ray = Scripted::start(replies).await;
    let table = format!(
        "address = \"{}\"\ncall_timeout = \"500ms\"\n{more}",
        ray.url("")
    );
    (ray, build("ray", Path::new("/"), &table))
}

fn our_launch() -> Launch {
    Launch {
        server_id: SERVER.to_owned(),
        ..launch(Path::new("/jobs/a1"))
    }
}

fn handle() -> Handle {
    handle_of(1)
}

fn handle_of(attempt: u32) -> Handle {
    let launch_id = LaunchId {
        attempt,
        ..our_launch().id
    };
    let data = json!({"server": SERVER, "attempt_dir": "/jobs/a1"});
    Handle {
        launch_id,
        version: 1,
        data,
        place: None,
    }
}

/// A job as `GET /api/jobs/{id}` has it.
fn job(status: &str, more: Value) -> Value {
    let mut job = json!({
        "type": "SUBMISSION", "job_id": null, "submission_id": our_launch().id, "driver_info": null,
        "status": status, "entrypoint": "true", "message": null, "error_type": null, "start_time": 1795431230054_u64,
        "end_time": null, "metadata": {"trainhook_server": SERVER}, "runtime_env": {"env_vars": {}},
        "driver_agent_http_address": null, "driver_node_id": null, "driver_exit_code": null,
    });
    for (key, value) in more.as_object().expect("an object") {
        job[key] = value.clone();
    }
    job
}

fn says(status: &str) -> Reply {
    Reply::new(200, job(status, json!({})))
}

fn absent() -> Reply {
    Reply::new(404, format!("Job {} does not exist", our_launch().id))
}

/// What was asked: method and path.
fn asked(requests: &[Recorded]) -> Vec<String> {
    let id = our_launch().id.to_string();
    let line =
        |request: &Recorded| format!("{} {}", request.method, request.path.replace(&id, "ID"));
    requests.iter().map(line).collect()
}
