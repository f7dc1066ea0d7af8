//! The export task: begun once, and followed until its result lies ready.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use jiff::Timestamp;

use super::{Export, failure::Failure};
use crate::{
    backoff::Backoff,
    labelbox::{Class, ExportTask, Labelbox, LabelboxError, TaskState},
    store::ExportRow,
};

/// Between looks at the task: 0.5 s, 1 s, 2 s, … 30 s.
const LOOKS: Backoff = Backoff {
    first: Duration::from_millis(500),
    most: Duration::from_secs(30),
};

/// A task that Labelbox does not list so many times, one after the other, is lost.
const UNLISTED: u32 = 3;

/// Where people read how far the task is.
const PART: &str = "task";

/// Searches that fail are believed to fail for ever after so many.
const SEARCHES: u32 = 3;

/// The search for a task that nobody has noted.
struct Search {
    may_find: AtomicBool,
    failed: AtomicU32,
}

impl Search {
    const fn new(may_find: bool) -> Self {
        Self {
            may_find: AtomicBool::new(may_find),
            failed: AtomicU32::new(0),
        }
    }

    /// A task was asked for. What may have begun once may show itself late, whatever later answers say.
    fn asked(&self, may_have_begun: bool) {
        self.may_find.fetch_or(may_have_begun, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
    }

    /// Counts a search that failed; whether there is no use in another one.
    fn is_in_vain(&self) -> bool {
        self.failed.fetch_add(1, Ordering::Relaxed) + 1 >= SEARCHES
    }
}

impl Export<'_> {
    /// The job's task: the one that was begun before a restart, or a new one. `may_exist` says that Labelbox may work on
    /// one that nobody has noted.
    pub(super) async fn task(&self, may_exist: bool) -> Result<String, Failure> {
        let store = &self.transfer.context.store;
        if let Some(row) = store.export(self.job).await? {
            return Ok(row.task);
        }
        // An export of an earlier time is another one.
        let name = format!("trainhook {} {:.0}", self.job.id, self.began_at);
        let (name, search) = (name.as_str(), &Search::new(may_exist));
        let created = self.ask("the export task", move |labelbox| async move {
            self.find_or_begin(&labelbox, name, search).await
        });
        let task = created.await?;
        let row = ExportRow {
            task: task.clone(),
            created_at: Timestamp::now(),
        };
        store.set_export(self.job, row).await?;
        tracing::info!(job_id = %self.job.id, model_run_id = %self.job.model_run_id, task, "the export began");
        Ok(task)
    }

    /// Begins a task, unless one by this name was begun whose answer got lost.
    async fn find_or_begin(
        &self,
        labelbox: &Labelbox,
        name: &str,
        search: &Search,
    ) -> Result<String, LabelboxError> {
        if search.may_find.load(Ordering::Relaxed) {
            let user = labelbox.user_id().await?;
            match labelbox.find_export(&user, name, &self.given_up).await {
                Ok(Some(task)) => return Ok(task),
                Err(error) if error.class() == Class::Retry && !search.is_in_vain() => {
                    return Err(error);
                }
                // Where nobody tells, another task does no harm: the result of the first one is never fetched.
                Ok(None) | Err(_) => {}
            }
        }
        let parts = self.job.entry.export.as_ref().map(|export| export.parts);
        let run = &self.job.model_run_id;
        let created = labelbox.create_export(run, name, parts.unwrap_or_default());
        let created = created.await;
        search.asked(created.as_ref().is_err_and(|error| error.ambiguous));
        created
    }

    /// Returns when the task's result lies ready.
    pub(super) async fn until_complete(&self, task: &str) -> Result<(), Failure> {
        let user = self
            .ask("the export task's user", |labelbox| async move {
                labelbox.user_id().await
            })
            .await?;
        let user = user.as_str();
        let (mut looks, mut unlisted) = (0, 0);
        loop {
            let asked = self.ask("the export task's state", move |labelbox| async move {
                labelbox.export_task(user, task).await
            });
            match asked.await.map_err(Failure::of_task)? {
                Some(found) => {
                    unlisted = 0;
                    if self.is_complete(found)? {
                        return Ok(());
                    }
                }
                None => unlisted += 1,
            }
            if unlisted == UNLISTED {
                return Err(Failure::TaskLost);
            }
            looks += 1;
            tokio::time::sleep(LOOKS.delay(looks)).await;
        }
    }

    fn is_complete(&self, found: ExportTask) -> Result<bool, Failure> {
        match found.state {
            TaskState::Complete => {
                self.note(PART, None);
                Ok(true)
            }
            TaskState::InProgress => {
                let percent = found.percent.unwrap_or_default();
                self.note(PART, format!("Labelbox prepares the export: {percent:.0}%"));
                Ok(false)
            }
            TaskState::Failed => {
                let why = found.error.unwrap_or_else(|| "without a reason".to_owned());
                let message = format!("Labelbox could not export the run's data: {why}");
                Err(Failure::export(message))
            }
        }
    }
}
