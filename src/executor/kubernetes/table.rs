//! Reading the keys of tables for Kubernetes.

use std::{collections::BTreeMap, path::PathBuf};

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value, json};

use super::{fields::lost, names, pod::CONTAINER, settings::Supervisor};
use crate::{
    config::{self, Table},
    executor::own_variable,
};

/// Fields of a pod that make it an attempt of ours.
const OURS_OF_POD: [&str; 1] = ["restartPolicy"];

/// Fields of its container that do.
const OURS_OF_CONTAINER: [&str; 4] = ["command", "args", "envFrom", "workingDir"];

pub(super) fn supervisor(table: &mut Table) -> Supervisor {
    let forms = "\"image:registry/trainhook:tag\", \"path:/opt/trainhook\" or \"shared\"";
    let missing = || Supervisor::Path(PathBuf::from("/"));
    if !table.has("supervisor") {
        table.mistake(
            "supervisor",
            format!("is missing: it must say how this program reaches a pod: {forms}"),
        );
    }
    let Some(text) = table.string("supervisor") else {
        return missing();
    };
    if let Some(image) = text.strip_prefix("image:").filter(|image| is_image(image)) {
        return Supervisor::Image(image.to_owned());
    }
    match config::Supervisor::parse(&text) {
        Some(config::Supervisor::Path(path)) => Supervisor::Path(path),
        Some(config::Supervisor::Shared) => Supervisor::Shared,
        _ => {
            table.mistake("supervisor", format!("must be {forms}"));
            missing()
        }
    }
}

fn is_image(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

pub(super) fn image(table: &mut Table) -> Option<String> {
    let image = table.string("image")?;
    if !is_image(&image) {
        table.mistake(
            "image",
            "must name an image, such as \"pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime\"",
        );
    }
    Some(image)
}

pub(super) fn pull_policy(table: &mut Table) -> Option<String> {
    let policy = table.string("image_pull_policy")?;
    if !["Always", "IfNotPresent", "Never"].contains(&policy.as_str()) {
        let text = "must be \"Always\", \"IfNotPresent\" or \"Never\"";
        table.mistake("image_pull_policy", text);
    }
    Some(policy)
}

/// The name of an object: as the API takes it (RFC 1123, subdomain).
pub(super) fn name(table: &mut Table, key: &str) -> Option<String> {
    let name = table.string(key)?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let is_name = (1..=253).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.']);
    if !is_name {
        let text = "must be a name of the cluster's: small letters, digits, \"-\" and \".\"";
        table.mistake(key, text);
    }
    Some(name)
}

/// A table of texts, of which `wrong` says what is not right: given name and value.
pub(super) fn texts(
    table: &mut Table,
    key: &str,
    wrong: impl Fn(&str, &str) -> Option<String>,
) -> BTreeMap<String, String> {
    let Some(mut inner) = table.table(key) else {
        return BTreeMap::new();
    };
    let names: Vec<String> = inner.keys().map(str::to_owned).collect();
    let texts = names.into_iter().filter_map(|name| {
        let value = inner.string(&name)?;
        if let Some(text) = wrong(&name, &value) {
            inner.mistake(&name, text);
        }
        Some((name, value))
    });
    let texts = texts.collect();
    table.adopt(inner);
    texts
}

/// A table in the words of the API.
pub(super) fn object(table: &mut Table, key: &str) -> Option<Map<String, Value>> {
    let value = table.value(key)?;
    let Ok(Value::Object(object)) = serde_json::to_value(value) else {
        table.mistake(key, "must be a table, in the words of the Kubernetes API");
        return None;
    };
    Some(object)
}

/// Sources by the volumes' names, as the API has them.
pub(super) fn volumes(table: &mut Table) -> Map<String, Value> {
    let volumes = object(table, "volumes").unwrap_or_default();
    for (name, source) in &volumes {
        if !names::is_volume(name) {
            let text = format!("{name:?} is no name of a volume: small letters, digits and \"-\"");
            table.mistake("volumes", text);
        } else if source.as_object().is_none_or(|source| source.len() != 1) {
            let text = format!(
                "{name} must say where it comes from, and no more: {{ persistentVolumeClaim = {{ claimName = \"{name}\" }} }}"
            );
            table.mistake("volumes", text);
        }
    }
    let with_name = |(name, source): (&String, &Value)| {
        let mut volume = source.as_object().cloned().unwrap_or_default();
        volume.insert("name".to_owned(), json!(name));
        Value::Object(volume)
    };
    let list: Vec<Value> = volumes.iter().map(with_name).collect();
    understood(table, "volumes", json!({"volumes": list}));
    volumes
}

pub(super) fn tolerations(table: &mut Table) -> Vec<Value> {
    let Some(value) = table.value("tolerations") else {
        return Vec::new();
    };
    let list = match serde_json::to_value(value) {
        Ok(Value::Array(list)) if list.iter().all(Value::is_object) => list,
        _ => {
            let text = "must be a list of tables, such as [{ key = \"nvidia.com/gpu\", operator = \"Exists\" }]";
            table.mistake("tolerations", text);
            return Vec::new();
        }
    };
    understood(table, "tolerations", json!({"tolerations": list}));
    list
}

/// `"data:/data"`, `"data:/data:ro"`, `"data/sub/folder:/data"`.
pub(super) fn mounts(table: &mut Table) -> Vec<Value> {
    let mut mounts = Vec::new();
    for text in table.strings("mounts").unwrap_or_default() {
        match mount(&text) {
            Some(mount) => mounts.push(mount),
            None => table.mistake(
                "mounts",
                format!(
                    "{text:?} is no mount: write \"volume:/in/the/pod\", with \":ro\" to only read"
                ),
            ),
        }
    }
    mounts
}

fn mount(text: &str) -> Option<Value> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, read_only) = match parts[..] {
        [source, target] | [source, target, "rw"] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        _ => return None,
    };
    let (volume, folder) = match source.split_once('/') {
        Some((volume, folder)) => (volume, Some(folder)),
        None => (source, None),
    };
    let climbs = |path: &str| path.split('/').any(|name| name == "..");
    if volume.is_empty() || !target.starts_with('/') || target == "/" || climbs(text) {
        return None;
    }
    let mut mount = Map::new();
    mount.insert("name".to_owned(), json!(volume));
    mount.insert("mountPath".to_owned(), json!(target));
    drop(folder.map(|folder| mount.insert("subPath".to_owned(), json!(folder))));
    drop(read_only.then(|| mount.insert("readOnly".to_owned(), json!(true))));
    Some(Value::Object(mount))
}

/// A pod's `spec`, for all that has no key here. What the API does not know would be left out silently.
pub(super) fn raw_pod(table: &mut Table) -> Map<String, Value> {
    let raw = object(table, "pod").unwrap_or_default();
    let containers = raw.get("containers").and_then(Value::as_array);
    let container = containers
        .into_iter()
        .flatten()
        .find(|container| container.get("name") == Some(&json!(CONTAINER)));
    let of_pod = OURS_OF_POD.iter().find(|key| raw.contains_key(**key));
    let of_container = || {
        let container = container?;
        let mut keys = OURS_OF_CONTAINER.iter();
        keys.find(|key| container.get(**key).is_some())
    };
    if let Some(key) = of_pod.or_else(of_container) {
        table.mistake(
            "pod",
            format!("{key} is not to be changed: the pod would not be ours any more"),
        );
    }
    if let Some(text) = variables_of(container).find_map(own_variable) {
        table.mistake("pod", format!("a variable of its container {text}"));
    }
    understood(table, "pod", Value::Object(raw.clone()));
    raw
}

/// Notes what the API has no field for.
fn understood(table: &mut Table, key: &str, mut spec: Value) {
    // A pod must have containers, and a table need not name them.
    if spec.get("containers").is_none() {
        spec["containers"] = json!([]);
    }
    let known: Result<PodSpec, _> = serde_json::from_value(spec.clone());
    let complaint = match known.map(|known| serde_json::to_value(known).unwrap_or_default()) {
        Ok(known) => lost(&spec, &known).map(|field| format!("the API has no {field} in a pod")),
        Err(error) => Some(format!("the API does not take it: {error}")),
    };
    if let Some(complaint) = complaint {
        table.mistake(key, complaint);
    }
}

fn variables_of(container: Option<&Value>) -> impl Iterator<Item = &str> {
    let variables = container.and_then(|container| container.get("env")?.as_array());
    let names = variables.into_iter().flatten();
    names.filter_map(|variable| variable.get("name")?.as_str())
}
