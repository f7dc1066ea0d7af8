//! Which parts of ended jobs' folders are old enough to go.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{
    Store, StoreError,
    rows::{millis, time, word},
};
use crate::{
    config::{Part, RetentionConfig},
    job::JobId,
};

/// Parts of one job's folder that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prunable {
    /// The job.
    pub job: JobId,
    /// Its model.
    pub model: String,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What may go.
    pub parts: Vec<Part>,
}

impl Store {
    /// Ended jobs whose folders hold parts that are older than `retention` wants them; those that ended first come
    /// first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn prunable(
        &self,
        retention: &RetentionConfig,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Prunable>, StoreError> {
        let ended_before = Part::ALL.map(|part| {
            let age = retention.age(part)?;
            now.checked_sub(age).ok().map(millis)
        });
        let latest = ended_before.into_iter().flatten().max();
        let keep = retention.keep;
        self.read(move |connection| {
            let sql = "SELECT id, model, ended_at, due FROM \
                 (SELECT seq, id, model, ended_at, (iif(ended_at <= :data, 1, 0) | iif(ended_at <= :checkpoint, 2, 0) \
                 | iif(ended_at <= :logs, 4, 0) | iif(ended_at <= :models, 8, 0)) & ~pruned AS due \
                 FROM jobs WHERE ended_at <= :latest) \
                 WHERE due <> 0 AND seq NOT IN (SELECT seq FROM (SELECT seq, row_number() OVER \
                 (PARTITION BY model ORDER BY ended_at DESC, seq DESC) AS place FROM jobs WHERE ended_at IS NOT NULL) \
                 WHERE place <= :keep) ORDER BY ended_at LIMIT :limit";
            let mut statement = connection.prepare_cached(sql)?;
            let [data, checkpoint, logs, models] = ended_before;
            let rows = statement.query_map(
                named_params! {
                    ":data": data, ":checkpoint": checkpoint, ":logs": logs, ":models": models, ":latest": latest,
                    ":keep": keep, ":limit": limit,
                },
                |row| {
                    Ok(Prunable {
                        job: word(row, 0)?,
                        model: row.get(1)?,
                        ended_at: time(row, 2)?,
                        parts: Part::in_set(row.get(3)?),
                    })
                },
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Notes that these parts are gone.
    ///
    /// # Errors
    /// When the store cannot commit; the parts are then removed once more, which is harmless.
    pub async fn mark_pruned(&self, pruned: Prunable, now: Timestamp) -> Result<(), StoreError> {
        let set = pruned.parts.iter().fold(0, |set, part| set | part.bit());
        let words: Vec<&str> = pruned.parts.iter().map(|part| part.as_str()).collect();
        let words = words.join(", ");
        self.write(move |connection| {
            let id = pruned.job.to_string();
            let sql = "UPDATE jobs SET pruned = pruned | ?2 WHERE id = ?1";
            connection.prepare_cached(sql)?.execute((&id, set))?;
            let sql = "INSERT INTO timeline (job, at, event, detail) \
                       SELECT seq, ?2, 'pruned', ?3 FROM jobs WHERE id = ?1";
            connection
                .prepare_cached(sql)?
                .execute((&id, millis(now), &words))?;
            Ok(())
        })
        .await
    }
}
