//! Where jobs run: the [`Executor`] trait, and one file for each engine.
//!
//! An engine is never trusted with uniqueness, nor with the truth about an end: the claim and the
//! exit record in the job directory decide (see [`crate::job::verdict`]). What an executor must do is
//! bring `launch.argv` to life somewhere, find it again by its handle, and end it when asked.

mod call;
pub mod container;
mod fit;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod launch;
pub mod local;
mod merge;
pub mod program;
pub mod ray;
mod registry;
mod shell;
pub mod slurm;
mod surroundings;
mod trial;
mod wish;

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    config::Table,
    job::{Handle, HandleError, LaunchId, Observation, Place},
};

pub use fit::{
    model_mistakes, never_fitting, never_heard, never_taken, sent_to_loopback, unsent_workdirs,
};
pub use launch::Launch;
pub use registry::{BuildContext, Built, Registry};
pub use trial::trial_launch;

/// A way to run launches on an engine. Every call runs under a time limit of the server's.
#[async_trait]
pub trait Executor: Debug + Send + Sync {
    /// Starts `launch.argv`. May be called again for the same launch after a crash; should then
    /// return the same attempt, and does no harm if it cannot, because of the claim.
    ///
    /// # Errors
    /// [`SubmitError`] says whether to try again, to give up, or to look first.
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError>;

    /// What the engine has under that launch id.
    ///
    /// # Errors
    /// When the engine does not answer; that is never an outcome.
    async fn find(&self, launch: &Launch) -> Result<Found, QueryError>;

    /// Looks at many attempts at once. Cheap, free of side effects, callable by any process that
    /// holds the handles; one answer for each handle, in their order.
    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>>;

    /// Wishes an attempt to end: SIGTERM, and SIGKILL after `grace`. Idempotent; returns when the
    /// wish is taken, not when the attempt is gone.
    ///
    /// # Errors
    /// When the engine does not answer; the server tries again.
    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError>;

    /// Ends and removes whatever is left of an attempt that is over. Idempotent.
    ///
    /// # Errors
    /// When the engine does not answer; the server tries again.
    async fn cleanup(&self, _handle: &Handle) -> Result<(), QueryError> {
        Ok(())
    }

    /// The handle of a launch whose submit may have been taken and never answered, where it needs no answer of the
    /// engine's. What it leads to, if anything, is removed.
    fn handle_of(
        &self,
        _launch_id: LaunchId,
        _attempt_dir: &Path,
        _server_id: &str,
    ) -> Option<Handle> {
        None
    }

    /// The engine to which a submit would go now. It is written down before the submit, and kept in the handle: what was
    /// sent elsewhere is neither looked for here nor started again, but waits until the executor points back. None where
    /// it cannot point elsewhere.
    ///
    /// # Errors
    /// When that cannot be told.
    async fn place(&self) -> Result<Option<Place>, QueryError> {
        Ok(None)
    }

    /// Takes the keys of a model's table for this kind, `[models.<slug>.<kind>]`, out of it, and notes what is wrong
    /// with them. Keys that it leaves there become mistakes. A launch brings the same table as
    /// [`Launch::settings`].
    fn check_model(&self, _table: &mut Table) {}

    /// Whether a launch could be, as far as that is told without asking anybody. The one that it is given holds no
    /// secrets, and its folder is not there.
    ///
    /// # Errors
    /// Why it would be refused.
    fn check_launch(&self, _launch: &Launch) -> Result<(), String> {
        Ok(())
    }

    /// What the engine itself says of a launch that it is not to start, in words; none where it cannot be asked. The one
    /// that it is given holds no secrets, and its folder is not there.
    ///
    /// # Errors
    /// When it would refuse it, or does not answer.
    async fn try_launch(&self, _launch: &Launch) -> Result<Option<Trial>, QueryError> {
        Ok(None)
    }

    /// Exactly what a submit of this launch would hand to the engine, for people to read. The launch that it is
    /// given holds no secrets.
    ///
    /// # Errors
    /// When this launch would be refused.
    async fn plan(&self, launch: &Launch) -> Result<String, SubmitError> {
        Ok(launch.describe())
    }

    /// Whether the engine is there and usable, in words.
    ///
    /// # Errors
    /// When it is not, and why.
    async fn check(&self) -> Result<String, QueryError> {
        Ok("nothing to check".to_owned())
    }

    /// What the engine itself has to say of an attempt that never claimed.
    async fn engine_log(&self, _handle: &Handle) -> Option<String> {
        None
    }

    /// Devices this executor hands out, each to one job at a time; none where handing them out is the
    /// engine's own affair.
    fn devices(&self) -> Option<Vec<u32>> {
        None
    }

    /// Whether the engine keeps what has ended until it is cleaned up: then every end is followed by a cleanup.
    fn keeps_ended(&self) -> bool {
        false
    }

    /// Whether the supervisors of this engine see the job directory at the server's own path. Where they do not, a launch
    /// has a [`Launch::mirror`], and data, code, events, log, outputs and the exit record travel over HTTP; a
    /// checkpoint does not travel.
    fn shares_files(&self) -> bool {
        true
    }

    /// Where a node has the program that supervises, the first word of `launch.argv`; none where it lies at the server's
    /// own path.
    fn program(&self) -> Option<PathBuf> {
        None
    }

    /// How long an attempt's heartbeat may be silent once the engine calls it ended.
    fn settle(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// How often running attempts are looked at when nothing wakes the server.
    fn poll_interval(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// The least time between two looks, whatever wakes the server: what an engine bears. Many attempts are looked
    /// at together.
    fn poll_pause(&self) -> Duration {
        Duration::ZERO
    }
}

/// What an engine says of a launch that it is not to start, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// It would take it.
    Fine(String),
    /// It would take it, and as the engine stands now it would wait for ever.
    Doubtful(String),
}

/// What an engine has under a launch id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// These attempts; more than one where the engine allows it.
    Attempts(Vec<Handle>),
    /// Positively nothing, and nothing will appear.
    Absent,
    /// This engine cannot tell.
    Unknowable,
}

/// Whether a wish to end was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The attempt will end.
    Requested,
    /// There is nothing left to end.
    AlreadyEnded,
}

/// Why a submit failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The engine refuses this launch for good.
    #[error("{0}")]
    Rejected(String),
    /// It was not started; the same launch may be submitted again.
    #[error("{0}")]
    Transient(String),
    /// It may have been started: find it, or submit it again.
    #[error("{0}")]
    Ambiguous(String),
}

/// An engine that could not be asked. Never an outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(pub String);

/// Why a variable cannot be set by an executor's table: ours tell supervisors and commands where they are.
fn own_variable(name: &str) -> Option<String> {
    let is_ours = name.starts_with("TRAINHOOK_");
    is_ours.then(|| {
        "is trainhook's own: variables that begin with TRAINHOOK_ cannot be set".to_owned()
    })
}

impl QueryError {
    /// Refuses to ask the engine at `now` about an attempt that was started on another one.
    pub(crate) fn of_place(handle: &Handle, now: &Place) -> Result<(), Self> {
        handle.unseen_from(now).map_or(Ok(()), |why| Err(Self(why)))
    }
}

impl From<HandleError> for QueryError {
    fn from(error: HandleError) -> Self {
        Self(error.to_string())
    }
}

/// By then the attempt has begun.
impl From<HandleError> for SubmitError {
    fn from(error: HandleError) -> Self {
        Self::Ambiguous(error.to_string())
    }
}
