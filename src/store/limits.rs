//! What keeps a button from spending more than a team wants to.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{
    NewJob, StoreError,
    rows::{millis, too_far},
};

/// In milliseconds.
const DAY: i64 = 24 * 3600 * 1000;

/// A limit of a model that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpendingLimit {
    /// `max_queued`: this many jobs of the model wait already.
    #[error(
        "{0} jobs of this model wait already, which is its max_queued: wait until some have begun, or cancel some"
    )]
    Queued(u32),
    /// `max_starts_per_day`: this many were accepted within 24 hours; the next may be at that time.
    #[error(
        "this model was started {0} times within 24 hours, which is its max_starts_per_day: try again at {1:.0}"
    )]
    StartsPerDay(u32, Timestamp),
}

/// The limit that keeps the request from becoming a job.
pub(super) fn reached_limit(
    connection: &Connection,
    new: &NewJob,
    now: Timestamp,
) -> Result<Option<SpendingLimit>, StoreError> {
    let entry = &new.entry;
    if let Some(most) = entry.max_queued.filter(|_| new.limited) {
        // No more is counted than matters.
        let sql = "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE model = ?1 \
                   AND state IN ('accepted', 'exporting', 'queued') LIMIT ?2)";
        let mut statement = connection.prepare_cached(sql)?;
        let waiting: u32 = statement.query_row((&entry.slug, most), |row| row.get(0))?;
        if waiting >= most {
            return Ok(Some(SpendingLimit::Queued(most)));
        }
    }
    let Some(most) = entry.max_starts_per_day.filter(|_| new.limited) else {
        return Ok(None);
    };
    // A start that a clock has put into the future must not count for ever.
    let sql = "SELECT accepted_at FROM jobs WHERE model = ?1 AND accepted_at BETWEEN ?2 AND ?3 \
               ORDER BY accepted_at DESC LIMIT 1 OFFSET ?4";
    let key = (&entry.slug, millis(now) - DAY, too_far(now), most - 1);
    let mut statement = connection.prepare_cached(sql)?;
    let first = statement
        .query_row(key, |row| row.get::<_, i64>(0))
        .optional()?;
    let next = first.and_then(|first| Timestamp::from_millisecond(first + DAY + 1).ok());
    Ok(next.map(|next| SpendingLimit::StartsPerDay(most, next)))
}
