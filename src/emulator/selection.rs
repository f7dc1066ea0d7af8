//! Of an object that has every field of its type, those that were asked for.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::document::Field;

/// The fields of `value`, or of each of its items, that `selection` asks for, under their aliases.
#[derive(Debug)]
pub(super) struct Selected<'a> {
    pub(super) value: &'a Value,
    pub(super) selection: &'a [Field],
}

/// Nothing is copied on the way: a page of rows is a long answer.
impl Serialize for Selected<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { value, selection } = *self;
        match value {
            Value::Array(items) => serializer.collect_seq(items.iter().map(|item| Selected {
                value: item,
                selection,
            })),
            Value::Object(_) if !selection.is_empty() => {
                let picked = once_each(selection).map(|field| {
                    let (value, selection) = (&value[&field.name], field.selection.as_slice());
                    (field.key(), Selected { value, selection })
                });
                serializer.collect_map(picked)
            }
            _ => value.serialize(serializer),
        }
    }
}

/// The SDK asks for one field twice in a query, and is answered once.
pub(super) fn once_each(selection: &[Field]) -> impl Iterator<Item = &Field> {
    let earlier = |at: usize| selection.iter().take(at);
    let is_first =
        move |(at, field): &(usize, &Field)| earlier(*at).all(|other| other.key() != field.key());
    let fields = selection.iter().enumerate().filter(is_first);
    fields.map(|(_, field)| field)
}
