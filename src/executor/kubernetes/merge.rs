//! `pod = { … }` of a settings file over the pod that we make.

use serde_json::{Map, Value};

/// Lists whose entries are known by a key, as the API itself merges them (a field's `patchMergeKey`).
const KEYED: [(&str, &str); 9] = [
    ("containers", "name"),
    ("env", "name"),
    ("hostAliases", "ip"),
    ("imagePullSecrets", "name"),
    ("initContainers", "name"),
    ("ports", "containerPort"),
    ("resourceClaims", "name"),
    ("volumeMounts", "mountPath"),
    ("volumes", "name"),
];

/// Puts `more` over `below`: tables are joined; entries of lists that have names are joined with those of the same
/// name, and other lists are appended; all else is replaced.
pub(super) fn merge(below: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (Some(Value::Array(list)), Value::Array(values)) => join(list, values, &key),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

fn join(list: &mut Vec<Value>, values: Vec<Value>, key: &str) {
    let known = KEYED.iter().find(|(name, _)| *name == key);
    for value in values {
        let same = known.and_then(|(_, by)| {
            let name = value.get(by)?;
            list.iter_mut().find(|one| one.get(by) == Some(name))
        });
        match (same, value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (_, value) => list.push(value),
        }
    }
}
