//! The wish that an attempt end, left in its folder for the supervisor.

use std::{path::PathBuf, time::Duration};

use super::QueryError;
use crate::job_dir::{AttemptDir, CancelRequest};

/// Asks the supervisor to end its command within `grace`. Blocks.
///
/// # Errors
/// When the wish cannot be written.
pub(super) fn wish_cancel(dir: &AttemptDir, grace: Duration) -> Result<(), QueryError> {
    let request = CancelRequest {
        grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
        reason: "cancelled by the server".to_owned(),
    };
    let written = dir.request_cancel(&request);
    written.map_err(|error| QueryError(format!("cannot write cancel.json: {error}")))
}

/// The same for the attempt in `folder`, off the runtime's own threads: its disk may be far away.
///
/// # Errors
/// As [`wish_cancel`].
pub(super) async fn wish_cancel_in(folder: PathBuf, grace: Duration) -> Result<(), QueryError> {
    let wished = move || wish_cancel(&AttemptDir::at(folder), grace);
    let wished = tokio::task::spawn_blocking(wished).await;
    wished.map_err(|error| QueryError(error.to_string()))?
}
