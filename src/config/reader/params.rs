//! `params`: the hyper-parameters, each a value or `{ default, min, max, choices }`.

use std::collections::BTreeMap;

use super::secrets::is_env_name;
use crate::config::{
    ParamLimits, ParamValue, Params, Table,
    table::{Content, Value},
};

/// The parameters with their defaults, and the limits of those that have any.
pub(super) fn params(table: &mut Table) -> (Params, BTreeMap<String, ParamLimits>) {
    let (mut params, mut limits) = (Vec::new(), BTreeMap::new());
    let Some(mut given) = table.table("params") else {
        return (Params(params), limits);
    };
    let names: Vec<String> = given.keys().map(str::to_owned).collect();
    for name in names {
        let Some(Value { content, .. }) = given.take(&name) else {
            continue;
        };
        if !is_env_name(&name) {
            given.mistake(&name, "a parameter's name is made of letters, digits and _");
        }
        let default = match content {
            Content::Table(inner) => {
                let (default, limit) = limited(&mut given, inner);
                limits.insert(name.clone(), limit);
                default
            }
            content => value(&mut given, &name, content),
        };
        // Known by its name all the same: a command that uses it makes no second mistake.
        params.push((name, default.unwrap_or(ParamValue::Bool(false))));
    }
    table.adopt(given);
    (Params(params), limits)
}

fn value(given: &mut Table, name: &str, content: Content) -> Option<ParamValue> {
    let found = content.describe();
    let value = plain(content);
    if value.is_none() {
        let text = format!("must be a text, a number, true or false, not {found}");
        given.mistake(name, text);
    }
    value
}

fn plain(content: Content) -> Option<ParamValue> {
    match content {
        Content::Bool(value) => Some(ParamValue::Bool(value)),
        Content::Integer(value) => Some(ParamValue::Integer(value)),
        Content::Float(value) if value.is_finite() => Some(ParamValue::Float(value)),
        Content::Text(value) if !value.contains('\0') => Some(ParamValue::Text(value)),
        _ => None,
    }
}

/// `{ default = 0.1, min = 0.0, max = 1.0 }`, `{ default = "adam", choices = ["adam", "sgd"] }`.
fn limited(given: &mut Table, mut inner: Table) -> (Option<ParamValue>, ParamLimits) {
    let default = match inner.take("default") {
        Some(Value { content, .. }) => value(&mut inner, "default", content),
        None => {
            inner.mistake("default", "is missing: it gives the parameter its type");
            None
        }
    };
    let limits = ParamLimits {
        min: bound(&mut inner, "min", default.as_ref()),
        max: bound(&mut inner, "max", default.as_ref()),
        choices: choices(&mut inner, default.as_ref()),
    };
    if default
        .as_ref()
        .is_some_and(|default| !limits.allows(default))
    {
        inner.mistake("default", "is not within its own limits");
    }
    given.adopt(inner);
    (default, limits)
}

fn bound(inner: &mut Table, key: &str, default: Option<&ParamValue>) -> Option<f64> {
    let Value { content, .. } = inner.take(key)?;
    let is_number = default
        .is_none_or(|default| matches!(default, ParamValue::Integer(_) | ParamValue::Float(_)));
    #[expect(
        clippy::cast_precision_loss,
        reason = "limits are compared as people write them"
    )]
    let bound = match content {
        Content::Integer(number) => Some(number as f64),
        Content::Float(number) if number.is_finite() => Some(number),
        _ => None,
    };
    if bound.is_none() || !is_number {
        inner.mistake(key, "must be a number, for a parameter that is one");
    }
    bound
}

fn choices(inner: &mut Table, default: Option<&ParamValue>) -> Vec<ParamValue> {
    let Some(Value { content, .. }) = inner.take("choices") else {
        return Vec::new();
    };
    let choices: Option<Vec<ParamValue>> = match content {
        Content::List(values) => values
            .into_iter()
            .map(|value| plain(value.content))
            .collect(),
        _ => None,
    };
    let same_type = |choice: &ParamValue| {
        default
            .is_none_or(|default| std::mem::discriminant(choice) == std::mem::discriminant(default))
    };
    match choices {
        Some(choices) if !choices.is_empty() && choices.iter().all(same_type) => choices,
        _ => {
            inner.mistake("choices", "must be a list of values of the default's type");
            Vec::new()
        }
    }
}
