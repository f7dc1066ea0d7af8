//! Hyper-parameters: their defaults, what people may set them to, and what they set them to in Labelbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::spelling::is_near;

/// Keys of a config that a sentence names.
const MOST_MISSES: usize = 3;

/// Characters of a key that a sentence repeats.
const LONGEST_KEY: usize = 40;

/// Hyper-parameters, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(pub Vec<(String, ParamValue)>);

impl Params {
    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParamValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ParamValue> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }
}

/// One hyper-parameter's value; its type is part of the contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamValue {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// Text.
    Text(String),
}

impl ParamValue {
    /// As the command sees it in `TRAINHOOK_PARAM_…` and in `{params.…}`.
    #[must_use]
    pub fn as_text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(value) => value.clone(),
        }
    }

    /// As it stands in `request.json`.
    #[must_use]
    pub fn as_json(&self) -> Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(value) => value.clone().into(),
        }
    }
}

/// What a parameter may be set to: `epochs = { default = 20, min = 1, max = 500 }`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ParamLimits {
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Nothing else; anything if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<ParamValue>,
}

/// Hyper-parameters as they hold for one job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// Each with the run's value, or its default.
    pub params: Params,
    /// What the run's config says beyond them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub others: Map<String, Value>,
}

impl Params {
    /// What holds when a model run's own config is `config`. Names meet in any case, with or without `_`:
    /// Labelbox turns `batch_size` into `batchSize` (labelbox-python: `test_model_run.py`).
    ///
    /// # Errors
    /// A sentence for whoever wrote the config, for a value of another type, or outside its limits.
    pub fn settle(
        &self,
        limits: &BTreeMap<String, ParamLimits>,
        config: &Map<String, Value>,
    ) -> Result<Settled, String> {
        let mut settled = Settled {
            params: self.clone(),
            others: Map::new(),
        };
        for (key, value) in config {
            let Some(at) = self.position(key) else {
                settled.others.insert(key.clone(), value.clone());
                continue;
            };
            let (name, param) = &mut settled.params.0[at];
            // The exact name outweighs its other spellings, wherever it stands.
            if key != name && config.contains_key(name) {
                continue;
            }
            *param = take_value(value, param, limits.get(name)).map_err(|wanted| {
                format!("the model run's config sets {key} to {value}, but it must be {wanted}")
            })?;
        }
        Ok(settled)
    }

    fn position(&self, key: &str) -> Option<usize> {
        let exact = self.0.iter().position(|(name, _)| name == key);
        exact.or_else(|| {
            let same = |(name, _): &(String, ParamValue)| plain(name) == plain(key);
            self.0.iter().position(same)
        })
    }
}

impl Settled {
    /// Which keys of the run's config are nearly the name of a parameter, for people; none if no key is.
    #[must_use]
    pub fn near_misses(&self) -> Option<String> {
        let near = |key: &str| {
            let mut names = self.params.iter().map(|(name, _)| name);
            names.find(|name| is_near(&plain(key), &plain(name)))
        };
        let mut misses = self
            .others
            .keys()
            .filter_map(|key| Some((key, near(key)?)))
            .map(|(key, name)| format!("{} (did you mean {name}?)", shortened(key)));
        let mut told: Vec<String> = misses.by_ref().take(MOST_MISSES).collect();
        match misses.count() {
            _ if told.is_empty() => return None,
            0 => {}
            more => told.push(format!("{more} more")),
        }
        Some(format!(
            "the model run's config sets what is no parameter: {}",
            told.join(", ")
        ))
    }
}

/// The beginning of a key: somebody else chose how long it is.
fn shortened(key: &str) -> String {
    match key.char_indices().nth(LONGEST_KEY) {
        None => key.to_owned(),
        Some((end, _)) => format!("{}…", &key[..end]),
    }
}

/// A name without what two spellings of it differ in.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !"_-".contains(*c));
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// The value in the type of `default`; else what it must be.
fn take_value(
    value: &Value,
    default: &ParamValue,
    limits: Option<&ParamLimits>,
) -> Result<ParamValue, String> {
    let taken = match (default, value) {
        (ParamValue::Bool(_), Value::Bool(value)) => Some(ParamValue::Bool(*value)),
        (ParamValue::Integer(_), Value::Number(number)) => whole(number).map(ParamValue::Integer),
        (ParamValue::Float(_), Value::Number(number)) => number.as_f64().map(ParamValue::Float),
        (ParamValue::Text(_), Value::String(text)) if !text.contains('\0') => {
            Some(ParamValue::Text(text.clone()))
        }
        _ => None,
    };
    let allows = |value: &ParamValue| limits.is_none_or(|limits| limits.allows(value));
    taken
        .filter(allows)
        .ok_or_else(|| describe(default, limits.unwrap_or(&ParamLimits::default())))
}

/// Labelbox's editor may write 20 as 20.0.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let of_float = || {
        let float = number.as_f64()?;
        let exact = float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole and small enough"
        )]
        exact.then_some(float as i64)
    };
    number.as_i64().or_else(of_float)
}

fn describe(default: &ParamValue, limits: &ParamLimits) -> String {
    let kind = match default {
        ParamValue::Bool(_) => "true or false",
        ParamValue::Integer(_) => "a whole number",
        ParamValue::Float(_) => "a number",
        ParamValue::Text(_) => "a text",
    };
    if !limits.choices.is_empty() {
        let choices: Vec<String> = limits.choices.iter().map(ParamValue::as_text).collect();
        return format!("one of {}", choices.join(", "));
    }
    match (limits.min, limits.max) {
        (Some(min), Some(max)) => format!("{kind} from {min} to {max}"),
        (Some(min), None) => format!("{kind} of at least {min}"),
        (None, Some(max)) => format!("{kind} of at most {max}"),
        (None, None) => kind.to_owned(),
    }
}

impl ParamLimits {
    /// Whether a parameter may have this value.
    #[must_use]
    pub fn allows(&self, value: &ParamValue) -> bool {
        #[expect(
            clippy::cast_precision_loss,
            reason = "limits are compared as people write them"
        )]
        let number = match value {
            ParamValue::Integer(number) => Some(*number as f64),
            ParamValue::Float(number) => Some(*number),
            ParamValue::Bool(_) | ParamValue::Text(_) => None,
        };
        let within = number.is_none_or(|number| {
            self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
        });
        within && (self.choices.is_empty() || self.choices.contains(value))
    }
}
