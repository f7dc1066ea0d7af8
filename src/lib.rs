//! Stands between Labelbox's **Train model** button and a team's training machines.
//!
//! Labelbox calls: which models are there, train this one on this model run. trainhook commits the
//! job, answers, runs the command of that model on the engine that `models.toml` names, and tells
//! Labelbox the truth until the run is COMPLETE or FAILED, whatever is killed, restarted or out of
//! reach in between.
//!
//! Most users run the `trainhook` program and never see this crate. It is for those who add an engine
//! of their own: implement [`executor::Executor`], register it under a kind, and the program is
//! theirs, with every command.
//!
//! ```no_run
//! use std::{process::ExitCode, sync::Arc, time::Duration};
//!
//! use trainhook::{
//!     config::Table,
//!     executor::{BuildContext, Built, CancelOutcome, Executor, Found, Launch, QueryError, Registry, SubmitError},
//!     job::{Handle, Observation},
//! };
//!
//! #[derive(Debug)]
//! struct Cluster {
//!     queue: String,
//! }
//!
//! #[async_trait::async_trait]
//! impl Executor for Cluster {
//!     async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
//!         // Start `launch.argv`, with `launch.env`, under the name `launch.id`.
//!         # let _ = launch;
//!         Err(SubmitError::Transient(format!("queue {} does not answer", self.queue)))
//!     }
//!
//!     async fn find(&self, _launch: &Launch) -> Result<Found, QueryError> {
//!         // What has the engine under that name? Not to know is an answer.
//!         Ok(Found::Unknowable)
//!     }
//!
//!     async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
//!         // Where is each of them? A question without an answer never ends a job.
//!         handles.iter().map(|_| Err(QueryError("no answer".to_owned()))).collect()
//!     }
//!
//!     async fn cancel(&self, _handle: &Handle, _grace: Duration) -> Result<CancelOutcome, QueryError> {
//!         Ok(CancelOutcome::Requested)
//!     }
//! }
//!
//! /// `[executors.big]` with `kind = "cluster"` and `queue = "a100"` in `models.toml`.
//! fn build(table: &mut Table, _context: &BuildContext<'_>) -> Built {
//!     let queue = table.required_string("queue").unwrap_or_default();
//!     Ok(Arc::new(Cluster { queue }))
//! }
//!
//! fn main() -> ExitCode {
//!     trainhook::cli::main_with(&Registry::default().with("cluster", build))
//! }
//! ```
//!
//! `examples/custom_executor.rs` is one that works.
//!
//! # Layout
//!
//! A module imports from the layers below its own, and from its own layer only in the first.
//!
//! | layer | module | |
//! |---|---|---|
//! | 4 | [`cli`] | one file a command |
//! | 4 | [`conformance`] | tries on any executor what all of them must keep |
//! | 4 | [`server`] | wires the parts and runs them |
//! | 3 | [`http`] | the two listeners: Labelbox's routes and the admin's; the only place with warp beside the emulator |
//! | 3 | [`transfer`] | before and after the training: the run's data, the job directory, the predictions |
//! | 3 | [`scheduler`] | one loop an engine: submit, look, stop, finish; slots and devices |
//! | 3 | [`reporter`] | delivers what Labelbox is owed, in order, until it has it |
//! | 3 | [`retention`] | removes what is not to be kept of jobs that have ended |
//! | 2 | [`store`] | jobs, timelines and the outbox in one SQLite file; the only SQL |
//! | 2 | [`labelbox`] | the only GraphQL |
//! | 2 | [`downloads`] | files behind addresses from outside |
//! | 2 | [`executor`] | the trait, and the engines |
//! | 2 | [`supervisor`] | runs beside the command: the claim, its log, its exit record |
//! | 2 | [`emulator`] | plays Labelbox; shares no code with `labelbox`, so that each checks the other |
//! | 1 | [`job`] | states and their changes, causes, reports, the verdict; pure |
//! | 1 | [`job_dir`] | the files through which server, supervisor and command speak |
//! | 1 | [`config`] | `models.toml`, every mistake located |
//! | 1 | [`dataset`] | the shapes of exported rows, labels and ontologies |
//! | 1 | [`signature`], [`backoff`], [`process`], [`disk`], [`meters`], [`outbound`] | what they say |
//!
//! # Rules
//!
//! - What is promised is committed first: a job before its 200, a launch before its submit, a state
//!   with the report that it owes.
//! - The modules of layer 3 never call each other. They meet in the store, so a restart is starting
//!   them again.
//! - A command runs only after its supervisor has won the attempt's claim, so starting one twice is
//!   harmless.
//! - "Cannot see" is never "gone": only evidence ends a job, and [`job::verdict`] alone weighs it.

pub mod backoff;
pub mod cli;
pub mod config;
pub mod conformance;
pub mod dataset;
pub mod disk;
pub mod downloads;
pub mod emulator;
pub mod executor;
pub mod http;
pub mod job;
pub mod job_dir;
pub mod labelbox;
pub mod meters;
pub mod mirror;
pub mod outbound;
pub mod process;
pub mod recording;
pub mod reporter;
pub mod retention;
pub mod scheduler;
pub mod server;
pub mod signature;
pub mod store;
pub mod supervisor;
pub mod transfer;
