//! What the API server says of itself, so that `kubectl` knows its way.

use serde_json::{Value, json};

/// The answer to a question about the API itself.
pub(super) fn about(path: &str) -> Option<Value> {
    Some(match path {
        "/version" => {
            json!({"major": "1", "minor": "37", "gitVersion": "v1.37.0-fake", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "linux/amd64"})
        }
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => {
            let groups = ["batch", "authorization.k8s.io"].map(group);
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        "/api/v1" => {
            let own = [
                ("pods", "Pod", true),
                ("pods/log", "Pod", true),
                ("secrets", "Secret", true),
                ("events", "Event", true),
            ];
            resources("v1", &own)
        }
        "/apis/batch/v1" => resources(
            "batch/v1",
            &[("jobs", "Job", true), ("jobs/status", "Job", true)],
        ),
        "/apis/authorization.k8s.io/v1" => {
            let own = [("selfsubjectaccessreviews", "SelfSubjectAccessReview", false)];
            resources("authorization.k8s.io/v1", &own)
        }
        _ => return None,
    })
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(version: &str, own: &[(&str, &str, bool)]) -> Value {
    let own: Vec<Value> = own
        .iter()
        .map(|(name, kind, is_namespaced)| {
            let verbs = match name.contains('/') {
                true => json!(["get"]),
                false => json!(["create", "delete", "get", "list", "patch", "update"]),
            };
            json!({"name": name, "singularName": kind.to_lowercase(), "namespaced": is_namespaced, "kind": kind, "verbs": verbs})
        })
        .collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": own})
}

/// The kind and the version of a resource.
pub(super) fn kind_of(resource: &str) -> Option<(&'static str, &'static str)> {
    Some(match resource {
        "jobs" => ("Job", "batch/v1"),
        "pods" => ("Pod", "v1"),
        "secrets" => ("Secret", "v1"),
        "events" => ("Event", "v1"),
        _ => return None,
    })
}
