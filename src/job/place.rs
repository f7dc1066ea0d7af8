//! Where an engine is, as it is kept with whatever was sent there.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An engine as the executor's settings lead to it. It stands in a launch's handle, so that an executor that is made to
/// point elsewhere does not take what it cannot see for gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// How it is reached: an address, or a socket.
    pub address: String,
    /// The engine's own name for itself, where it tells one that holds whatever its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The part of it that new launches go to, such as a namespace. A handle knows its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

impl Place {
    /// An engine that is known by nothing but its address.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            id: None,
            part: None,
        }
    }

    /// Whether this is the same engine: by its own name for itself, and by its address where one of both is without.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (Some(own), Some(others)) => own == others,
            _ => self.address == other.address,
        }
    }

    /// Why what was started here cannot be seen from `now`, for people; none if it can.
    #[must_use]
    pub fn unseen_from(&self, now: &Self) -> Option<String> {
        (!self.is(now)).then(|| self.held("this attempt was started on", now))
    }

    /// Why it cannot be told from `now` whether what was sent here has arrived, for people; none if it can.
    #[must_use]
    pub fn unsure_from(&self, now: &Self) -> Option<String> {
        let is_same = self.is(now) && self.part == now.part;
        (!is_same).then(|| self.held("this attempt may have been started on", now))
    }

    fn held(&self, what: &str, now: &Self) -> String {
        let shown = |place: &Self| match (&place.id, self.address == now.address) {
            (Some(id), true) => format!("{place} ({id})"),
            _ => place.to_string(),
        };
        format!(
            "{what} {}, and the executor now points to {}: point it back, or cancel the job",
            shown(self),
            shown(now)
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Some(part) => write!(f, "{part} of {}", self.address),
            None => f.write_str(&self.address),
        }
    }
}
