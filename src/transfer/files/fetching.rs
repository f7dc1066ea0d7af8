//! A fetch under way: files come in side by side, and are noted in the order of the rows.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::{
    io::{AsyncWriteExt, BufWriter},
    sync::{Semaphore, SemaphorePermit, mpsc},
};

use super::{
    FilesContext, FilesError, FilesReport, Plan, Progress,
    earlier::Earlier,
    journal::{Entry, Journal, Outcome},
    line::Wanted,
    one,
    room::Budget,
    scan::{self, Scanned},
};

/// Files of one job that come in at once.
const AT_ONCE: usize = 16;

/// Files of one job that are begun and not noted, a slow one at their front included.
const WINDOW: usize = 128;

/// The journal is on its way to the disk at least this often.
const NOTED_EVERY: Duration = Duration::from_secs(1);

/// A fetch under way.
pub(super) struct Fetching<'a> {
    pub(super) context: &'a FilesContext,
    pub(super) plan: &'a Plan<'a>,
    pub(super) room: Budget,
    /// Whatever goes on after a drop of the fetch holds it until it ends: the next fetch begins with its lock.
    pub(super) journal: Arc<Journal>,
    turns: Semaphore,
    drafts: PathBuf,
    begun: AtomicU64,
}

impl<'a> Fetching<'a> {
    pub(super) fn new(
        context: &'a FilesContext,
        plan: &'a Plan<'a>,
        drafts: PathBuf,
        journal: Arc<Journal>,
    ) -> Self {
        Self {
            context,
            plan,
            journal,
            room: Budget::new(plan.data_dir, plan.min_free, context.cache.clone()),
            turns: Semaphore::new(AT_ONCE),
            drafts,
            begun: AtomicU64::new(0),
        }
    }
}

impl Fetching<'_> {
    /// Fetches what is not here yet, and notes each outcome in the order of the rows.
    pub(super) async fn all(
        &self,
        earlier: Earlier,
        progress: &(impl Fn(Progress) + Send + Sync),
    ) -> Result<FilesReport, FilesError> {
        let (sender, mut receiver) = mpsc::channel(WINDOW);
        let (data_dir, entries) = (self.plan.data_dir.to_owned(), Arc::clone(&self.journal));
        let scanning =
            tokio::task::spawn_blocking(move || scan::scan(&data_dir, &entries, &earlier, &sender));
        let received = stream::poll_fn(move |context| receiver.poll_recv(context));
        let settled = received.map(|scanned| self.settle(scanned).boxed());
        let mut outcomes = settled.buffered(WINDOW);
        let appender = tokio::fs::File::from_std(self.journal.appender()?);
        let mut notes = BufWriter::new(appender);
        let mut report = FilesReport::default();
        let mut note_again = tokio::time::interval(NOTED_EVERY);
        loop {
            // What was noted must not wait for a slow file.
            let settled = tokio::select! {
                settled = outcomes.next() => settled,
                _ = note_again.tick() => {
                    notes.flush().await?;
                    progress(self.progress(&report));
                    continue;
                }
            };
            let Some(settled) = settled else { break };
            if settled.is_err() {
                // What came before it need not come again.
                notes.flush().await?;
            }
            let (wanted, outcome, is_noted) = settled?;
            if !is_noted {
                let entry = Entry::of(&wanted, &outcome);
                notes.write_all(&entry.line()).await?;
            }
            report.add(&wanted, outcome);
            progress(self.progress(&report));
            if report.is_hopeless(self.plan.export.max_missing_files) {
                break;
            }
        }
        notes.flush().await?;
        if !report.is_hopeless(self.plan.export.max_missing_files) {
            scanning.await.map_err(io::Error::other)??;
        }
        Ok(report)
    }

    fn progress(&self, report: &FilesReport) -> Progress {
        Progress {
            trouble: self.context.hosts.trouble(),
            ..report.progress()
        }
    }

    async fn settle(&self, scanned: Scanned) -> Result<(Wanted, Outcome, bool), FilesError> {
        match scanned {
            Scanned::Noted(wanted, outcome) => Ok((wanted, outcome, true)),
            Scanned::Here(wanted, bytes) => Ok((wanted, Outcome::Bytes(bytes), false)),
            Scanned::Open(wanted) => {
                let outcome = one::fetch(self, &wanted).await?;
                Ok((wanted, outcome, false))
            }
        }
    }

    /// Waits until one more file may come in.
    pub(super) async fn turn(&self) -> (Option<SemaphorePermit<'_>>, Option<SemaphorePermit<'_>>) {
        // They are never closed.
        let own = self.turns.acquire().await.ok();
        (own, self.context.at_once.acquire().await.ok())
    }

    pub(super) fn place(&self, wanted: &Wanted) -> PathBuf {
        self.plan.data_dir.join(&wanted.path)
    }

    pub(super) fn draft_path(&self) -> PathBuf {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.drafts.join(number.to_string())
    }

    /// A number that differs between files that fail together.
    pub(super) fn spread(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }
}

impl FilesReport {
    fn progress(&self) -> Progress {
        Progress {
            here: self.here,
            bytes: self.bytes,
            missing: self.missing,
            trouble: None,
        }
    }
}
