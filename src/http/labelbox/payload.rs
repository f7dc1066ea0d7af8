//! The body of `POST /model_run`.
//!
//! Recorded from Labelbox in 2022: `{"modelId", "modelRunId", "modelType"}`, all texts. The reference
//! implementation's own tests send no `modelId`. Other keys are left alone.

use std::{collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::{http::error::ApiError, job::ModelRunId};

/// What a request to train says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payload {
    /// Which run.
    pub(super) model_run_id: ModelRunId,
    /// Which model: one of the names that GET /models lists.
    pub(super) model_type: String,
    /// Labelbox's id of the model that the run belongs to.
    pub(super) model_id: Option<String>,
}

impl Payload {
    /// Reads it from a body whose signature was found right.
    ///
    /// # Errors
    /// [`ApiError::Invalid`], naming what is missing or wrong.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body)
            .map_err(|error| invalid(format!("the body is not UTF-8: {error}")))?;
        if text.starts_with('\u{feff}') {
            return Err(invalid("the body begins with a byte order mark".to_owned()));
        }
        let keys: Keys = serde_json::from_str(text)
            .map_err(|error| invalid(format!("the body is not what it should be: {error}")))?;
        let model_run_id = required("modelRunId", keys.model_run_id)?;
        Ok(Self {
            model_run_id: model_run_id
                .parse()
                .map_err(|error| invalid(format!("modelRunId: {error}")))?,
            model_type: required("modelType", keys.model_type)?,
            model_id: keys.model_id.map(model_id).transpose()?.flatten(),
        })
    }
}

fn invalid(text: String) -> ApiError {
    ApiError::Invalid(text)
}

fn required(key: &str, value: Option<Value>) -> Result<String, ApiError> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(format!("{key} must be a text"))),
        None => Err(invalid(format!("{key} is missing"))),
    }
}

fn model_id(value: Value) -> Result<Option<String>, ApiError> {
    match value {
        Value::Null => Ok(None),
        // The same bound as for a model run's id: it ends up in the same places.
        Value::String(text) if text.parse::<ModelRunId>().is_ok() => Ok(Some(text)),
        Value::String(_) => Err(invalid(
            "modelId must have 1 to 200 printable characters".to_owned(),
        )),
        _ => Err(invalid("modelId must be a text".to_owned())),
    }
}

/// The keys we know, before their kinds are checked.
#[derive(Default)]
struct Keys {
    model_run_id: Option<Value>,
    model_type: Option<Value>,
    model_id: Option<Value>,
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
        let (mut keys, mut seen) = (Keys::default(), HashSet::new());
        // Unknown values are read as values, too: that bounds how deep they may nest.
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            match key.as_str() {
                "modelRunId" => keys.model_run_id = Some(value),
                "modelType" => keys.model_type = Some(value),
                "modelId" => keys.model_id = Some(value),
                _ => {}
            }
            // Which of two values is meant depends on the reader, so neither is.
            if let Some(twice) = seen.replace(key) {
                return Err(A::Error::custom(format_args!(
                    "the key {twice:?} stands there twice"
                )));
            }
        }
        Ok(keys)
    }
}
