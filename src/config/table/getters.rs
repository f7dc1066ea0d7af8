//! The forms that a value may have: a getter for each.

use std::{ops::Range, time::Duration};

use super::{Content, Table, Value};
use crate::config::{
    Tolerance,
    units::{parse_duration, parse_share, parse_size},
};

impl Table {
    /// A text.
    pub fn string(&mut self, key: &str) -> Option<String> {
        self.take_as(key, "a text", |content| match content {
            Content::Text(text) => Some(text),
            _ => None,
        })
    }

    /// A text that must be there.
    pub fn required_string(&mut self, key: &str) -> Option<String> {
        if !self.has(key) {
            self.asked.push(key.to_owned());
            self.mistake(key, "is missing: it must be a text");
            return None;
        }
        self.string(key)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str) -> Option<bool> {
        self.take_as(key, "true or false", |content| match content {
            Content::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: &str, range: Range<u32>) -> Option<u32> {
        let wanted = format!("a whole number from {} to {}", range.start, range.end - 1);
        self.take_as(key, &wanted, |content| match content {
            Content::Integer(number) => u32::try_from(number)
                .ok()
                .filter(|number| range.contains(number)),
            _ => None,
        })
    }

    /// A count from 1, or `"none"` for no limit: `Some(None)` then.
    pub fn count_limit(&mut self, key: &str) -> Option<Option<u32>> {
        let wanted = "a whole number from 1, or \"none\" for no limit";
        self.take_as(key, wanted, |content| match content {
            Content::Text(text) if text == "none" => Some(None),
            Content::Integer(number) if number > 0 => u32::try_from(number).ok().map(Some),
            _ => None,
        })
    }

    /// A duration: `"90s"`, `"2h"`.
    pub fn duration(&mut self, key: &str) -> Option<Duration> {
        self.take_as(
            key,
            "a duration such as \"90s\", \"5m\", \"2h\" or \"7d\"",
            |content| match content {
                Content::Text(text) => parse_duration(&text),
                _ => None,
            },
        )
    }

    /// A duration, or `"none"` for no limit: `Some(None)` then.
    pub fn limit(&mut self, key: &str) -> Option<Option<Duration>> {
        self.take_as(
            key,
            "a duration such as \"90s\" or \"2h\", or \"none\"",
            |content| match content {
                Content::Text(text) if text == "none" => Some(None),
                Content::Text(text) => parse_duration(&text).map(Some),
                _ => None,
            },
        )
    }

    /// A size in bytes: `"64KB"`, `"1GB"`, `"512MiB"`.
    pub fn size(&mut self, key: &str) -> Option<u64> {
        self.take_as(
            key,
            "a size such as \"64KB\", \"1GB\" or \"512MiB\"",
            |content| match content {
                Content::Text(text) => parse_size(&text),
                _ => None,
            },
        )
    }

    /// A count, or a share such as `"1%"` or `"0.5%"`.
    pub fn tolerance(&mut self, key: &str) -> Option<Tolerance> {
        let wanted = "a whole number from 0, or a share such as \"1%\"";
        self.take_as(key, wanted, |content| match content {
            Content::Integer(number) => u64::try_from(number).ok().map(Tolerance::Count),
            Content::Text(text) => parse_share(&text).map(Tolerance::Share),
            _ => None,
        })
    }

    /// A list of texts.
    pub fn strings(&mut self, key: &str) -> Option<Vec<String>> {
        let text = |value: Value| match value.content {
            Content::Text(text) => Some(text),
            _ => None,
        };
        self.take_as(key, "a list of texts", |content| match content {
            Content::List(values) => values.into_iter().map(text).collect(),
            _ => None,
        })
    }

    /// A table of its own; hand its mistakes back with [`Table::adopt`].
    pub fn table(&mut self, key: &str) -> Option<Self> {
        self.take_as(key, "a table", |content| match content {
            Content::Table(table) => Some(table),
            _ => None,
        })
    }

    /// Any value, for keys that take more than one form.
    pub fn value(&mut self, key: &str) -> Option<toml::Value> {
        let value = self.take(key)?;
        Some(value.content.plain())
    }
}
