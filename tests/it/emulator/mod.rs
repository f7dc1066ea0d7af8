//! The emulated Labelbox, asked at the wire.

mod click;
mod control;
mod data;
mod faults;
mod our_client;
mod program;
mod queries;
mod statuses;

use std::{path::Path, time::Duration};

use bytes::Bytes;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use trainhook::{
    emulator::{Emulator, Options},
    outbound,
};
use warp::{Filter, path::FullPath};

const LIMIT: Duration = Duration::from_secs(20);

async fn start() -> Emulator {
    start_with(Options::default()).await
}

async fn start_with(options: Options) -> Emulator {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    Emulator::start(listener, options).expect("a listener with an address")
}

fn client() -> Client {
    let client = outbound::client_builder().timeout(LIMIT).build();
    client.expect("a client")
}

/// The one exchange of a capture.
fn capture(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/labelbox");
    let text = std::fs::read(folder.join(format!("{name}.json"))).expect("a capture");
    let capture: Value = serde_json::from_slice(&text).expect("JSON");
    capture["requests"][0].clone()
}

async fn post(emulator: &Emulator, path: &str, body: &Value) -> reqwest::Result<Response> {
    let url = format!("http://{}{path}", emulator.address());
    let post = client().post(url).bearer_auth("any-key").json(body);
    post.send().await
}

async fn ask(emulator: &Emulator, path: &str, body: &Value) -> Value {
    let answer = post(emulator, path, body).await.expect("an answer");
    answer.json().await.expect("JSON")
}

/// Sends a captured request with the id of a run that exists, and answers (got, captured).
async fn replay(emulator: &Emulator, name: &str, model_run_id: &str) -> (Value, Value) {
    let exchange = capture(name);
    let mut body = exchange["json"].clone();
    for key in ["modelRunId", "param_0"] {
        if let Some(id) = body["variables"].get_mut(key) {
            *id = model_run_id.into();
        }
    }
    let path = exchange["path"].as_str().expect("a path");
    let got = ask(emulator, path, &body).await;
    (got, exchange["reply"]["body"].clone())
}

fn update(model_run_id: &str, data: Value) -> Value {
    let mut body = capture("update_status_COMPLETE")["json"].clone();
    body["variables"] = json!({ "modelRunId": model_run_id, "data": data });
    body
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}

/// A server of the user's, as Labelbox sees it: it keeps what it is sent and offers two models.
struct Server {
    base: String,
    received: mpsc::UnboundedReceiver<Received>,
}

/// Method, path, signature header, content type, raw body.
type Received = (String, String, Option<String>, Option<String>, Vec<u8>);

impl Server {
    async fn start() -> Self {
        Self::start_with(StatusCode::OK).await
    }

    async fn start_with(models_status: StatusCode) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let routes = warp::method()
            .and(warp::path::full())
            .and(warp::header::optional("x-hub-signature"))
            .and(warp::header::optional("content-type"))
            .and(warp::body::bytes())
            .map(
                move |method: Method, path: FullPath, signature, kind, body: Bytes| {
                    let path = path.as_str().to_owned();
                    let (status, answer) = match path.ends_with("/models") {
                        true => (models_status, json!({ "zebra \u{e9}": {}, "ant": {} })),
                        false => (StatusCode::CREATED, json!({ "jobId": "1" })),
                    };
                    let received = (method.to_string(), path, signature, kind, body.to_vec());
                    sender.send(received).expect("the test still listens");
                    warp::reply::with_status(warp::reply::json(&answer), status)
                },
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(warp::serve(routes).incoming(listener).run());
        Self {
            base: format!("http://{address}/hooks/"),
            received,
        }
    }

    fn next(&mut self) -> Received {
        self.received.try_recv().expect("a call that was answered")
    }
}
