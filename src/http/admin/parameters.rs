//! The part of an address behind its question mark. A key that nobody knows is a mistake.

use std::{collections::BTreeMap, str::FromStr};

use crate::http::error::ApiError;

/// The keys and values that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Parameters {
    values: BTreeMap<String, String>,
}

impl Parameters {
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        // A relative address carries the query; its host is never looked at.
        let url = reqwest::Url::parse(&format!("http://localhost/?{query}"));
        let url =
            url.map_err(|_| ApiError::Invalid("the query cannot be understood".to_owned()))?;
        let mut values = BTreeMap::new();
        for (key, value) in url.query_pairs() {
            if values.insert(key.to_string(), value.to_string()).is_some() {
                return Err(ApiError::Invalid(format!("{key} is given twice")));
            }
        }
        Ok(Self { values })
    }

    /// Takes a value; none if it is not given or empty.
    pub(super) fn take<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.values.remove(key).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let wrong = |_| ApiError::Invalid(format!("{key} cannot be {text:?}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.values.keys().next() {
            Some(key) => Err(ApiError::Invalid(format!("unknown parameter {key}"))),
            None => Ok(()),
        }
    }
}
