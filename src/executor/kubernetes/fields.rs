//! What the API has fields for: what it does not know it would leave out silently.

use serde_json::{Map, Value};

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// An object as the API understands it; what it has no field for is a mistake of the settings.
pub(super) fn understood<T: serde::Serialize + serde::de::DeserializeOwned>(
    value: Value,
) -> Result<T, String> {
    let refused =
        |error: serde_json::Error| format!("the Kubernetes API does not take it: {error}");
    let known: T = serde_json::from_value(value.clone()).map_err(refused)?;
    let shown = serde_json::to_value(&known).map_err(refused)?;
    match lost(&value, &shown) {
        Some(field) => Err(format!("the Kubernetes API has no {field}")),
        None => Ok(known),
    }
}

/// The first field that is not there any more.
pub(super) fn lost(given: &Value, understood: &Value) -> Option<String> {
    let deeper = |name: String, given, understood| {
        lost(given, understood).map(|field| format!("{name}.{field}"))
    };
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            // An empty table may say much, as emptyDir does.
            let is_said = |value: &Value| value.is_object() || !is_blank(value);
            let mut fields = given.iter().filter(|(_, value)| is_said(value));
            fields.find_map(|(key, value)| match understood.get(key) {
                None => Some(key.clone()),
                Some(inner) => deeper(key.clone(), value, inner),
            })
        }
        (Value::Array(given), Value::Array(understood)) => {
            let mut entries = given.iter().zip(understood).enumerate();
            entries.find_map(|(n, (given, understood))| deeper(n.to_string(), given, understood))
        }
        _ => None,
    }
}

/// What need not be said.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
