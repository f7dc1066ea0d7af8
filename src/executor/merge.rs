//! What a model says to an engine in its own words, over what its executor says.

use serde_json::{Map, Value};

/// Puts `more` over `below`: tables are joined, lists appended, all else replaced.
pub(super) fn merge(below: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (below.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value),
            (Some(Value::Array(list)), Value::Array(mut value)) => list.append(&mut value),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}
