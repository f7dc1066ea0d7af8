//! An engine that runs a supervisor of which nothing is heard: people see it at the job, not only in the engine's log.

use std::time::Duration;

use jiff::{Timestamp, Unit};

use super::engine_loop::{EngineLoop, LOG_TIMEOUT};
use crate::job::{Job, Phase};

/// As much of an engine's last word is shown, in characters.
const SHOWN: usize = 300;

impl EngineLoop {
    /// Why nobody may have claimed an attempt that the engine runs; none before that has lasted.
    pub(super) async fn why_unclaimed(&self, job: &Job, phase: &Phase) -> Option<String> {
        let runs = *phase == Phase::Running;
        let lasted = self.with_memory(job, |memory| memory.unclaimed_for(runs));
        if !runs || lasted < self.engine.unclaimed_after {
            return None;
        }
        // Composed once, so that a job that stays like this is written once, and its engine asked once for a log.
        if let Some(told) = self.with_memory(job, |memory| memory.unclaimed.clone()) {
            return Some(told);
        }
        let told = self.compose(job, lasted).await;
        tracing::warn!(job_id = %job.id, executor = self.engine.name, "{told}");
        self.with_memory(job, |memory| memory.unclaimed = Some(told.clone()));
        Some(told)
    }

    async fn compose(&self, job: &Job, lasted: Duration) -> String {
        let since = Timestamp::now() - lasted;
        let since = since.round(Unit::Second).unwrap_or(since);
        let question = match &self.context.mirroring {
            Some(mirroring) if !self.engine.executor.shares_files() => {
                format!("is jobs_url ({}) reachable from there", mirroring.url)
            }
            _ => "does it see jobs_dir at the server's own path".to_owned(),
        };
        let launch = job.launch_id();
        let told = format!(
            "the engine has run the command since {since}, and nobody has claimed it: {question}?"
        );
        let told = match self.last_word(job).await {
            Some(word) => format!("{told} Its log on the engine ({launch}) ends: {word}"),
            None => format!("{told} See the log of {launch} on the engine"),
        };
        self.redact(job, told).await
    }

    /// The last line of what the engine has of the attempt's log.
    async fn last_word(&self, job: &Job) -> Option<String> {
        let handle = job.handle.as_ref()?;
        let log = self.engine.executor.engine_log(handle);
        let log = tokio::time::timeout(LOG_TIMEOUT, log).await.ok()??;
        let line = log
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty())?;
        Some(line.chars().take(SHOWN).collect())
    }
}
