//! A Ray of its Jobs API alone: what was submitted runs, for ever. Its list is as long as a real one (captured from Ray
//! 2.60.0).

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use warp::{
    Filter,
    http::{Method, StatusCode},
    hyper::body::Bytes,
    path::FullPath,
    reply::{Json, WithStatus, json as reply, with_status},
};

/// The jobs, as the list has them.
type Jobs = Arc<Mutex<Vec<Value>>>;

/// Serves until it is aborted; answers its address.
pub(crate) async fn serve() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let jobs = Jobs::default();
    let route = warp::method()
        .and(warp::path::full())
        .and(warp::body::bytes())
        .map(move |method, path: FullPath, body| answer(&jobs, &method, path.as_str(), &body));
    let serving = tokio::spawn(warp::serve(route).incoming(listener).run());
    (format!("http://{address}"), serving)
}

fn answer(jobs: &Jobs, method: &Method, path: &str, body: &Bytes) -> WithStatus<Json> {
    let mut jobs = jobs.lock().expect("nobody panics");
    let good = |body: &Value| with_status(reply(body), StatusCode::OK);
    let name = path.strip_prefix("/api/jobs/").unwrap_or_default();
    match (method.as_str(), name) {
        ("GET", "") => good(&json!(*jobs)),
        ("POST", "") => {
            let job = job(&serde_json::from_slice(body).expect("JSON"));
            let id = job["submission_id"].clone();
            jobs.push(job);
            good(&json!({"job_id": id, "submission_id": id}))
        }
        ("GET", id) => match jobs.iter().find(|job| job["submission_id"] == id) {
            Some(job) => good(job),
            None => {
                let text = format!("Job {id} does not exist");
                with_status(reply(&text), StatusCode::NOT_FOUND)
            }
        },
        _ => good(&json!({})),
    }
}

/// A job that runs.
fn job(asked: &Value) -> Value {
    json!({
        "type": "SUBMISSION", "job_id": null, "submission_id": asked["submission_id"], "driver_info": null,
        "status": "RUNNING", "entrypoint": asked["entrypoint"], "message": "Job is currently running.",
        "error_type": null, "start_time": 1_795_431_230_054_u64, "end_time": null, "metadata": asked["metadata"],
        "runtime_env": asked["runtime_env"], "driver_agent_http_address": "http://127.0.0.1:52365",
        "driver_node_id": format!("{:0>56}", "c0ffee"), "driver_exit_code": null,
    })
}
