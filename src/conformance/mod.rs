//! Checks what any executor must keep, by running real jobs on it: under a server of their own with a store of its
//! own, beside an emulated Labelbox, with the executor as `models.toml` configures it.
//!
//! `trainhook conformance EXECUTOR` runs it from the command line. From a test of one's own executor:
//!
//! ```no_run
//! # async fn test(registry: trainhook::executor::Registry) {
//! use trainhook::{config, conformance};
//!
//! let parsed = config::read("models.toml".as_ref()).unwrap();
//! let subject = conformance::Subject {
//!     program: Some("target/debug/my-trainhook".into()),
//!     ..conformance::Subject::new(parsed.config.unwrap(), "cluster")
//! };
//! let report = conformance::run(subject, &registry, |_| {}).await.unwrap();
//! assert!(report.is_kept(), "{report:#?}");
//! # }
//! ```

mod cancels;
mod ends;
mod handles;
mod load;
mod observed;
mod outputs;
mod report;
mod stand;
mod submits;
mod trial;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;

use crate::{config::Config, executor::Registry};
use stand::Stand;

pub use report::{Kept, Outcome, Report};
pub use stand::StandError;

/// What is examined, and how.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The settings that name the executor. Only it, the folders, and what the file says of job directories are used.
    pub config: Config,
    /// The name of the executor's table.
    pub executor: String,
    /// The model whose tables for this kind of executor are used; the first one that runs there if none is named.
    pub model: Option<String>,
    /// What a promise may take, with all the waiting of the engine. Default 2 min.
    pub patience: Duration,
    /// The program that engines run as the supervisor; the running program if none. A test must name one.
    pub program: Option<PathBuf>,
    /// The promises to try, by their names; all if empty.
    pub only: Vec<String>,
}

impl Subject {
    /// All promises of the executor of that name.
    #[must_use]
    pub fn new(config: Config, executor: &str) -> Self {
        Self {
            config,
            executor: executor.to_owned(),
            model: None,
            patience: Duration::from_secs(120),
            program: None,
            only: Vec::new(),
        }
    }
}

/// Why a promise cannot be called kept.
#[derive(Debug)]
enum Complaint {
    /// It was broken.
    Broken(String),
    /// It could not be tried here.
    NotTried(String),
}

impl From<String> for Complaint {
    fn from(text: String) -> Self {
        Self::Broken(text)
    }
}

/// How the trial of a promise went.
type Tried = Result<(), Complaint>;

/// One promise and its trial.
struct Promise {
    name: &'static str,
    text: &'static str,
    trial: for<'a> fn(&'a mut Stand) -> BoxFuture<'a, Tried>,
}

/// Makes a list of promises: name, sentence, trial.
macro_rules! list {
    ($(($name:literal, $text:literal, $trial:path),)+) => {
        [$($crate::conformance::Promise {
            name: $name,
            text: $text,
            trial: |stand| Box::pin($trial(stand)),
        }),+]
    };
}
use list;

/// Tries all promises, one after the other, and tells each as it is known.
///
/// # Errors
/// When nothing could be tried: the executor is not there, or the server for the trial does not start.
pub async fn run(
    subject: Subject,
    registry: &Registry,
    mut tell: impl FnMut(&Kept),
) -> Result<Report, StandError> {
    let (executor, only) = (subject.executor.clone(), subject.only.clone());
    let mut stand = Stand::start(subject, registry.clone()).await?;
    let mut report = Report::new(executor, stand.kind());
    for promise in all().filter(|promise| only.is_empty() || only.iter().any(|n| n == promise.name))
    {
        let begun = Instant::now();
        let limit = stand.patience() * 2;
        let tried = tokio::time::timeout(limit, (promise.trial)(&mut stand)).await;
        let tried = tried.unwrap_or_else(|_| {
            let seconds = limit.as_secs();
            Err(format!("it was not done after {seconds} s").into())
        });
        let kept = Kept::new(promise.name, promise.text, begun.elapsed(), tried.into());
        tell(&kept);
        report.promises.push(kept);
    }
    report.folder = stand.end(report.is_kept()).await;
    Ok(report)
}

/// The names of all promises, with what each says.
pub fn promises() -> impl Iterator<Item = (&'static str, &'static str)> {
    all().map(|promise| (promise.name, promise.text))
}

fn all() -> impl Iterator<Item = Promise> {
    let ends = ends::promises().into_iter().chain(outputs::promises());
    let submits = submits::promises().into_iter().chain(handles::promises());
    let cancels = cancels::promises().into_iter().chain(load::promises());
    ends.chain(submits).chain(cancels)
}
