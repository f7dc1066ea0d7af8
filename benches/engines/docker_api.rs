//! A Docker Engine of its API alone: what was created and started runs, for ever. Its list is as long as a real one.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{net::UnixListener, task::JoinHandle};
use warp::{
    Filter,
    http::{Method, StatusCode},
    hyper::body::Bytes,
    reply::Response,
};

/// The containers by their ids.
type Containers = Arc<Mutex<BTreeMap<String, Value>>>;

/// Serves on this socket until it is aborted.
pub(crate) fn serve(socket: &Path) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).expect("a socket");
    let containers = Containers::default();
    let route = warp::method()
        .and(warp::path::full())
        .and(warp::body::bytes())
        .and(warp::query::<BTreeMap<String, String>>())
        .then(move |method, path: warp::path::FullPath, body, query| {
            let containers = Arc::clone(&containers);
            async move { answer(&containers, &method, path.as_str(), &body, &query).await }
        });
    tokio::spawn(warp::serve(route).incoming(listener).run())
}

async fn answer(
    containers: &Containers,
    method: &Method,
    path: &str,
    body: &Bytes,
    query: &BTreeMap<String, String>,
) -> Response {
    let path = path.strip_prefix("/v1.41").unwrap_or(path);
    match (method.as_str(), path) {
        ("GET", "/version") => reply(
            StatusCode::OK,
            &json!({"ApiVersion": "1.41", "Version": "20.10.24"}),
        ),
        // Nothing happens, so there is no answer.
        ("GET", "/events") => std::future::pending().await,
        ("GET", "/containers/json") => {
            let containers = containers.lock().expect("nobody panics");
            let all: Vec<Value> = containers.values().cloned().collect();
            reply(StatusCode::OK, &Value::from(all))
        }
        ("POST", "/containers/create") => {
            let name = query.get("name").map_or("", String::as_str);
            let container = summary(name, &serde_json::from_slice(body).expect("JSON"));
            let created = json!({"Id": container["Id"], "Warnings": []});
            let id = created["Id"].as_str().expect("an id").to_owned();
            containers
                .lock()
                .expect("nobody panics")
                .insert(id, container);
            reply(StatusCode::CREATED, &created)
        }
        ("POST", path) if path.ends_with("/start") => reply(StatusCode::NO_CONTENT, &Value::Null),
        _ => reply(
            StatusCode::NOT_FOUND,
            &json!({"message": "no such container"}),
        ),
    }
}

/// What Docker lists of a container that runs.
fn summary(name: &str, asked: &Value) -> Value {
    let mounts = asked["HostConfig"]["Mounts"].as_array();
    let mounts = mounts.into_iter().flatten().map(|mount| {
        json!({
            "Type": mount["Type"], "Source": mount["Source"], "Destination": mount["Target"],
            "Mode": "", "RW": true, "Propagation": "rprivate",
        })
    });
    json!({
        "Id": format!("{:0>64}", name.replace('-', "")),
        "Names": [format!("/{name}")],
        "Image": asked["Image"],
        "ImageID": format!("sha256:{:0>64}", "1"),
        "Command": format!("{} {}", asked["Entrypoint"][0], asked["Cmd"]),
        "Created": 1_764_000_000,
        "Ports": [],
        "Labels": asked["Labels"],
        "State": "running",
        "Status": "Up 2 hours",
        "HostConfig": {"NetworkMode": "none"},
        "NetworkSettings": {"Networks": {"none": {
            "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": format!("{:0>64}", "2"),
            "EndpointID": format!("{:0>64}", "3"), "Gateway": "", "IPAddress": "", "IPPrefixLen": 0,
            "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "",
            "DriverOpts": null,
        }}},
        "Mounts": mounts.collect::<Vec<_>>(),
    })
}

fn reply(status: StatusCode, body: &Value) -> Response {
    let text = match status {
        StatusCode::NO_CONTENT => String::new(),
        _ => body.to_string(),
    };
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let json = warp::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}
