//! What stands behind a key.

use super::Table;

/// A value with the line it begins on.
#[derive(Debug, Clone)]
pub(in crate::config) struct Value {
    pub(in crate::config) line: usize,
    pub(in crate::config) content: Content,
}

/// What `models.toml` can hold; tables keep the positions of their keys.
#[derive(Debug, Clone)]
pub(in crate::config) enum Content {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Value>),
    Table(Table),
    Other,
}

impl Value {
    /// A value that stands on no line.
    pub(super) fn of_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let content = match json {
            Json::String(text) => Content::Text(text.clone()),
            Json::Bool(value) => Content::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Content::Integer(whole),
                (None, Some(float)) => Content::Float(float),
                (None, None) => Content::Other,
            },
            Json::Array(values) => Content::List(values.iter().map(Self::of_json).collect()),
            Json::Object(map) => Content::Table(Table::of_json(map)),
            Json::Null => Content::Other,
        };
        Self { line: 0, content }
    }
}

impl Content {
    /// In words, for mistakes.
    pub(in crate::config) const fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a point",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other => "a date",
        }
    }

    /// Without its lines.
    pub(super) fn plain(self) -> toml::Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Integer(number) => number.into(),
            Self::Float(number) => number.into(),
            Self::Bool(value) => value.into(),
            Self::Other => "a date".into(),
            Self::List(values) => {
                let values = values.into_iter().map(|value| value.content.plain());
                values.collect::<Vec<_>>().into()
            }
            Self::Table(table) => toml::Value::Table(table.plain()),
        }
    }
}
