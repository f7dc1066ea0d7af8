//! What an address that is refused means, and who gets the API key.

use std::{io, time::Duration};

use jiff::Timestamp;

use super::{
    FilesError, blocking,
    expiry::is_over,
    fetching::Fetching,
    journal::Outcome,
    line::{Wanted, What},
};
use crate::config::Secret;

/// An address that is refused so long after the export has probably expired.
const OLD: Duration = Duration::from_secs(15 * 60);

impl Fetching<'_> {
    /// The API key, for what lies at the workspace's own Labelbox and nobody but Labelbox can have named.
    pub(super) async fn key_for(&self, wanted: &Wanted) -> Result<Option<Secret>, FilesError> {
        let is_mask = matches!(wanted.what, What::Mask(_));
        if !is_mask || !same_host(&wanted.url, self.plan.endpoint) {
            return Ok(None);
        }
        let reference = self.plan.api_key.clone();
        let read = blocking(move || reference.read().map_err(io::Error::other)).await;
        let cannot = |error| FilesError::later(format!("masks need the API key: {error}"));
        read.map(Some).map_err(cannot)
    }

    /// What becomes of a file that is refused for this reason.
    pub(super) fn refused(
        &self,
        wanted: &Wanted,
        reason: String,
        with_key: bool,
    ) -> Result<Outcome, FilesError> {
        if self.can_be_renewed(wanted, &reason) {
            return Err(FilesError::Expired);
        }
        // The key may be replaced, or get its rights back: no fault of the file's.
        if with_key && is_status(&reason, &["401", "403"]) {
            let text = format!("Labelbox {reason} to the API key where masks lie: check the key");
            return Err(FilesError::later(text));
        }
        Ok(Outcome::Missing(self.explain(reason)))
    }

    /// Whether a fresh export has an address that holds. One that was over when this export was made is its owner's.
    fn can_be_renewed(&self, wanted: &Wanted, reason: &str) -> bool {
        let held = !is_over(&wanted.url, self.plan.exported_at);
        self.plan.renewable
            && may_be_expiry(reason)
            && held
            && is_over(&wanted.url, Timestamp::now())
    }

    /// The reason, with what it probably comes from.
    fn explain(&self, reason: String) -> String {
        let age = Timestamp::now().duration_since(self.plan.exported_at);
        let age = Duration::try_from(age).unwrap_or_default();
        match may_be_expiry(&reason) && age > OLD {
            true => {
                let minutes = age.as_secs() / 60;
                format!(
                    "{reason}: {minutes} minutes after the export its address has probably expired"
                )
            }
            false => reason,
        }
    }
}

/// What stores answer to an address that holds no longer.
fn may_be_expiry(reason: &str) -> bool {
    is_status(reason, &["400", "401", "403", "410"])
}

fn is_status(reason: &str, among: &[&str]) -> bool {
    let status = reason.strip_prefix("answered ").unwrap_or_default();
    among.iter().any(|one| status.starts_with(one))
}

/// Whether scheme, host and port are the same.
fn same_host(url: &str, other: &str) -> bool {
    let parse = |text: &str| reqwest::Url::parse(text).ok();
    matches!((parse(url), parse(other)), (Some(one), Some(other)) if one.origin() == other.origin())
}
