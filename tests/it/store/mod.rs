//! The store on a real file.

mod acceptance;
mod limits;
mod opening;
mod outbox;
mod queue;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;
use trainhook::{
    config::ModelEntry,
    job::{Change, Job},
    store::{Acceptance, NewJob, Store},
};

use crate::support::labelbox_door::model;

const SECOND: Duration = Duration::from_secs(1);

/// A moment that is nobody's now.
fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().expect("a time")
}

/// An open store, and its folder.
struct Shelf {
    store: Store,
    folder: TempDir,
}

impl Shelf {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let store = Store::open(folder.path()).expect("a fresh store opens");
        Self { store, folder }
    }

    async fn accept(&self, run: &str, entry: ModelEntry) -> Acceptance {
        let accepted = self.store.accept(request(run, entry), noon()).await;
        accepted.expect("it is accepted")
    }

    /// A job that waits for a slot.
    async fn queued(&self, run: &str, entry: ModelEntry) -> Job {
        let Acceptance::New(job) = self.accept(run, entry).await else {
            panic!("{run} has a job already");
        };
        self.change(&job, Change::Queue).await
    }

    async fn change(&self, job: &Job, change: Change) -> Job {
        let changed = self.store.change(job, vec![change], noon()).await;
        changed.expect("it is allowed")
    }
}

fn entry() -> ModelEntry {
    model(1, "one")
}

fn request(run: &str, entry: ModelEntry) -> NewJob {
    NewJob {
        workspace: "main".to_owned(),
        entry: Arc::new(entry),
        model_run_id: run.parse().expect("an id"),
        model_id: None,
        kind: trainhook::job::JobKind::Train,
        parent: None,
        actor: "a tester".to_owned(),
        webhook: Bytes::from(format!("{{\"modelRunId\":\"{run}\"}}")),
        redelivery_window: 10 * SECOND,
        limited: true,
    }
}
