//! One request and its answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use serde_json::{Value, json};

use super::{
    controller, discovery, tail,
    world::{Fault, World, merge_patch},
};

type Answer = Response<Full<Bytes>>;

/// A status, and a body.
type Said = (u16, Value);

/// None: the connection is cut.
pub(super) async fn answer(world: &Arc<World>, request: Request<Incoming>) -> Option<Answer> {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str().to_owned(), head.uri.path().to_owned());
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let query: HashMap<String, String> = query_pairs(query);
    let body = body.collect().await.ok()?.to_bytes();
    let fault = world.fault(&method, &path);
    match &fault {
        Some(Fault::Refused(code, reason, message)) => {
            return Some(reply((*code, status(*code, reason, message))));
        }
        Some(Fault::Hang) => tokio::time::sleep(Duration::from_secs(600)).await,
        _ => {}
    }
    let asked = Asked {
        world,
        method: &method,
        query: &query,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let said = asked.route(&path);
    (fault != Some(Fault::LostAnswer)).then_some(said)
}

fn query_pairs(query: &[u8]) -> HashMap<String, String> {
    let url = format!("http://x/?{}", String::from_utf8_lossy(query));
    let url = reqwest::Url::parse(&url).expect("a query");
    url.query_pairs().into_owned().collect()
}

fn reply((code, body): Said) -> Answer {
    let text = body.to_string();
    let answer = Response::builder()
        .status(code)
        .header("content-type", "application/json");
    answer.body(Full::from(text)).expect("an answer")
}

pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code})
}

struct Asked<'a> {
    world: &'a Arc<World>,
    method: &'a str,
    query: &'a HashMap<String, String>,
    body: Value,
}

impl Asked<'_> {
    fn route(&self, path: &str) -> Answer {
        if let Some(about) = discovery::about(path) {
            return reply((200, about));
        }
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (self.method, parts.as_slice()) {
            (
                "POST",
                [
                    "apis",
                    "authorization.k8s.io",
                    "v1",
                    "selfsubjectaccessreviews",
                ],
            ) => reply(self.review()),
            ("GET", ["api", "v1", "namespaces", name]) => reply(self.namespace(name)),
            (_, ["api", "v1", "namespaces", namespace, rest @ ..])
            | (_, ["apis", "batch", "v1", "namespaces", namespace, rest @ ..]) => {
                match (self.method, rest) {
                    ("POST", [resource]) => reply(self.create(resource, namespace)),
                    ("GET", [resource]) => reply(self.list(resource, namespace)),
                    ("GET", ["pods", pod, "log"]) => self.log(namespace, pod),
                    ("GET", [resource, name]) => reply(self.get(resource, namespace, name)),
                    ("PATCH", [resource, name]) => reply(self.patch(resource, namespace, name)),
                    ("DELETE", [resource, name]) => reply(self.delete(resource, namespace, name)),
                    _ => reply(not_found(path)),
                }
            }
            _ => reply(not_found(path)),
        }
    }

    fn namespace(&self, name: &str) -> Said {
        if self.world.is_forbidden("get namespaces") {
            let message = format!("namespaces {name:?} is forbidden");
            return (403, status(403, "Forbidden", &message));
        }
        let metadata = json!({"name": name, "uid": self.world.uid});
        (
            200,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}),
        )
    }

    fn review(&self) -> Said {
        let mut review = self.body.clone();
        let wanted = &review["spec"]["resourceAttributes"];
        let text = |key: &str| wanted[key].as_str().unwrap_or_default();
        let what = format!("{} {}", text("verb"), text("resource"));
        review["status"] = json!({"allowed": !self.world.is_forbidden(&what)});
        (201, review)
    }

    fn create(&self, resource: &str, namespace: &str) -> Said {
        let Some((kind, version)) = discovery::kind_of(resource) else {
            return not_found(resource);
        };
        let mut object = self.body.clone();
        let name = object["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if object["kind"] != kind || object["apiVersion"] != version || name.is_empty() {
            return (
                400,
                status(
                    400,
                    "BadRequest",
                    &format!("this is no {kind} of {version} with a name"),
                ),
            );
        }
        if resource == "jobs" {
            controller::complete(&mut object);
        }
        if self
            .query
            .get("dryRun")
            .is_some_and(|stages| stages == "All")
        {
            return (201, object);
        }
        match self.world.create(resource, namespace, object) {
            Some(made) => {
                if resource == "jobs" && made["spec"]["suspend"] != true {
                    controller::begin(self.world, &name);
                }
                (201, made)
            }
            None => {
                let text = format!("{resource} \"{name}\" already exists");
                (409, status(409, "AlreadyExists", &text))
            }
        }
    }

    fn get(&self, resource: &str, namespace: &str, name: &str) -> Said {
        match self.world.get(resource, namespace, name) {
            Some(object) => (200, object),
            None => absent(resource, name),
        }
    }

    fn list(&self, resource: &str, namespace: &str) -> Said {
        let Some((kind, version)) = discovery::kind_of(resource) else {
            return not_found(resource);
        };
        let all = self.world.list(resource, namespace);
        let chosen: Vec<Value> = all.into_iter().filter(|one| self.is_chosen(one)).collect();
        let number = |key: &str| {
            self.query
                .get(key)
                .and_then(|text| text.parse::<usize>().ok())
        };
        let from = number("continue").unwrap_or(0);
        let limit = number("limit")
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        let page: Vec<Value> = chosen.iter().skip(from).take(limit).cloned().collect();
        let mut metadata = json!({"resourceVersion": self.world.version()});
        let next = from.saturating_add(limit);
        if next < chosen.len() {
            metadata["continue"] = json!(next.to_string());
            metadata["remainingItemCount"] = json!(chosen.len() - next);
        }
        (
            200,
            json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": metadata, "items": page}),
        )
    }

    /// Equality alone, of labels and of fields.
    fn is_chosen(&self, object: &Value) -> bool {
        let says = |key: &str, look: &dyn Fn(&str) -> Value| {
            let selector = self.query.get(key).map(String::as_str).unwrap_or_default();
            let mut wanted = selector.split(',').filter(|one| !one.is_empty());
            wanted.all(|one| {
                let (name, value) = one.split_once('=').expect("an equality");
                look(name) == *value.trim_start_matches('=')
            })
        };
        says("labelSelector", &|name| {
            object["metadata"]["labels"][name].clone()
        }) && says("fieldSelector", &|name| {
            object
                .pointer(&format!("/{}", name.replace('.', "/")))
                .cloned()
                .unwrap_or_default()
        })
    }

    fn patch(&self, resource: &str, namespace: &str, name: &str) -> Said {
        let patched = self.world.change(resource, namespace, name, |object| {
            merge_patch(object, &self.body);
        });
        match patched {
            Some(object) => (200, object),
            None => absent(resource, name),
        }
    }

    fn delete(&self, resource: &str, namespace: &str, name: &str) -> Said {
        let Some(found) = self.world.get(resource, namespace, name) else {
            return absent(resource, name);
        };
        let uid = &self.body["preconditions"]["uid"];
        if uid.is_string() && *uid != found["metadata"]["uid"] {
            return (
                409,
                status(
                    409,
                    "Conflict",
                    "the UID in the precondition does not match",
                ),
            );
        }
        match resource {
            "jobs" => controller::delete_job(
                self.world,
                name,
                self.body["propagationPolicy"] == "Foreground",
            ),
            "pods" => {
                let grace = self.body["gracePeriodSeconds"].as_u64();
                controller::delete_pod(self.world, name, grace.map(Duration::from_secs));
            }
            _ => drop(self.world.remove(resource, namespace, name)),
        }
        (
            200,
            self.world.get(resource, namespace, name).unwrap_or(found),
        )
    }

    fn log(&self, namespace: &str, pod: &str) -> Answer {
        let Some(found) = self.world.get("pods", namespace, pod) else {
            return reply(absent("pods", pod));
        };
        let uid = found["metadata"]["uid"].as_str().unwrap_or_default();
        let container = self
            .query
            .get("container")
            .map_or("training", String::as_str);
        let file = self
            .world
            .folder
            .join("pods")
            .join(uid)
            .join(format!("{container}.log"));
        if !file.exists() {
            let text = format!("container \"{container}\" in pod \"{pod}\" is waiting to start");
            return reply((400, status(400, "BadRequest", &text)));
        }
        Response::new(Full::from(tail(&file, 64 * 1024)))
    }
}

fn absent(resource: &str, name: &str) -> Said {
    (
        404,
        status(404, "NotFound", &format!("{resource} \"{name}\" not found")),
    )
}

fn not_found(what: &str) -> Said {
    (
        404,
        status(
            404,
            "NotFound",
            &format!("the server could not find the requested resource {what}"),
        ),
    )
}
