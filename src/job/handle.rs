//! What is kept of an attempt on an engine.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{LaunchId, Place};

/// What an executor needs to find an attempt again: JSON, versioned, kept by us, opaque to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// The launch this handle belongs to.
    pub launch_id: LaunchId,
    /// The version of `data`, chosen by the executor.
    pub version: u32,
    /// Whatever the executor needs.
    pub data: serde_json::Value,
    /// The engine that has it; none where the executor tells no places apart, or from before they were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Box<Place>>,
}

/// A handle that says nothing to its executor.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    /// Another version of the executor made it.
    #[error(
        "a handle of version {found} is from another trainhook: this one knows version {known}"
    )]
    Version {
        /// The handle's.
        found: u32,
        /// The executor's.
        known: u32,
    },
    /// Its data is not what it should be.
    #[error("a handle that cannot be read: {0}")]
    Data(#[from] serde_json::Error),
}

impl Handle {
    /// A handle of this launch that holds `data`.
    ///
    /// # Errors
    /// When the data cannot stand in JSON, as a path that is no UTF-8.
    pub fn pack(
        launch_id: LaunchId,
        version: u32,
        data: &impl Serialize,
    ) -> Result<Self, HandleError> {
        let data = serde_json::to_value(data)?;
        Ok(Self {
            launch_id,
            version,
            data,
            place: None,
        })
    }

    /// The same, of an attempt at this place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(Box::new(place));
        self
    }

    /// The same, at this place where it names none.
    #[must_use]
    pub fn or_at(mut self, place: Option<Place>) -> Self {
        self.place = self.place.or(place.map(Box::new));
        self
    }

    /// Why the attempt cannot be seen by whoever points to `now`, for people; none if it can.
    #[must_use]
    pub fn unseen_from(&self, now: &Place) -> Option<String> {
        self.place.as_ref()?.unseen_from(now)
    }

    /// What was packed under this version.
    ///
    /// # Errors
    /// [`HandleError`].
    pub fn unpack<T: DeserializeOwned>(&self, version: u32) -> Result<T, HandleError> {
        match self.version {
            found if found == version => Ok(T::deserialize(&self.data)?),
            found => Err(HandleError::Version {
                found,
                known: version,
            }),
        }
    }
}
