//! Values that may be absent, or of a shape that nobody has seen yet: neither may keep the rest of a line away.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What stands at some place of a line. It is read apart from the rest, so it must not hold another of its own type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Found<T> {
    /// Nothing, or `null`, which says the same.
    #[default]
    Nothing,
    /// What belongs there.
    Known(T),
    /// Something else.
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Found<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Self::of(value.get()))
    }
}

impl<'de, T: Deserialize<'de>> Found<T> {
    fn of(value: &'de str) -> Self {
        match value {
            "null" => Self::Nothing,
            text => serde_json::from_str(text).map_or(Self::Other, Self::Known),
        }
    }
}

impl<T> Found<T> {
    /// What belongs there, if it stands there.
    pub(crate) fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Nothing | Self::Other => None,
        }
    }

    /// The same, borrowed.
    pub(crate) const fn as_known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Nothing | Self::Other => None,
        }
    }

    pub(crate) const fn is_other(&self) -> bool {
        matches!(self, Self::Other)
    }
}

/// What belongs there, or the default in place of anything else.
pub(super) fn known<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let found = Found::deserialize(deserializer)?;
    Ok(found.known().unwrap_or_default())
}

/// The same of what belongs into an object: a list is something else, whatever it holds. By itself, serde would take its
/// elements for an object's fields in the order of their definition.
pub(super) fn object<'de, T, D>(deserializer: D) -> Result<Found<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let value = <&'de RawValue>::deserialize(deserializer)?;
    Ok(match value.get() {
        list if list.starts_with('[') => Found::Other,
        other => Found::of(other),
    })
}

/// The default in place of `null`.
pub(super) fn given<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let value = Option::deserialize(deserializer)?;
    Ok(value.unwrap_or_default())
}

/// The elements of a list that are not `null`; none in place of a `null`.
pub(super) fn elements<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let list: Option<Vec<Option<T>>> = Option::deserialize(deserializer)?;
    Ok(list.into_iter().flatten().flatten().collect())
}
