//! The scheduler: what is due gets one step, and the step's outcome is recorded. One loop an executor,
//! so that a slow engine delays no other; commits and executors only make a loop look sooner.

mod attempt;
mod ending;
mod engine_loop;
mod finish;
mod launch;
mod leftovers;
mod look;
mod memory;
mod places;
mod polling;
mod progress;
mod running;
mod secrets;
mod stop;
mod submit;
mod unclaimed;
mod waiting;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    config::{Config, Current},
    disk::Room,
    executor::Executor,
    meters::Answering,
    mirror::MirrorKey,
    store::Store,
};
use engine_loop::EngineLoop;

pub use secrets::Secrets;

/// How often waiting jobs are held against their `queue_timeout`.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);

/// An executor with what `models.toml` says of it for the scheduler's own use.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The name of its table.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The executor itself.
    pub executor: Arc<dyn Executor>,
    /// Jobs it holds at once.
    pub max_running: u32,
    /// An attempt whose engine has not answered for this long is lost.
    pub lost_after: Duration,
    /// Of an attempt that the engine runs and nobody has claimed for this long people are told.
    pub unclaimed_after: Duration,
    /// How often running attempts are looked at; the executor's own choice if none.
    pub poll_interval: Option<Duration>,
    /// Whether the engine answers when its jobs are looked at.
    pub answering: Arc<Answering>,
    /// Rung by the executor when something happened.
    pub wake: Arc<Notify>,
}

/// What attempts on engines that share no files are told of the server.
#[derive(Debug, Clone)]
pub struct Mirroring {
    /// How nodes reach the jobs' listener.
    pub url: String,
    /// Makes the launches' tokens.
    pub key: MirrorKey,
}

/// What every step needs to know of the server.
#[derive(Debug, Clone)]
pub struct Context {
    /// The store.
    pub store: Store,
    /// Where job directories lie.
    pub jobs_dir: PathBuf,
    /// The program that supervises; the first of a launch's arguments.
    pub program: PathBuf,
    /// For engines that share no files with the server.
    pub mirroring: Option<Mirroring>,
    /// This boot and this machine, for claims.
    pub boot_id: String,
    /// This machine.
    pub machine_id: String,
    /// How much room the disks have: with too little nothing new starts.
    pub room: Current<Room>,
    /// The settings in force.
    pub config: Current<Config>,
    /// Never to be seen in a reason that a job leaves behind.
    pub secrets: Current<Secrets>,
}

/// Runs the loops of all engines until the returned future is dropped.
pub async fn run(context: Context, engines: BTreeMap<String, Engine>) {
    let context = Arc::new(context);
    let names: Vec<String> = engines.keys().cloned().collect();
    let mut loops = JoinSet::new();
    for engine in engines.into_values() {
        loops.spawn(leftovers::remove_leftovers(
            Arc::clone(&context),
            engine.clone(),
        ));
        loops.spawn(EngineLoop::new(Arc::clone(&context), engine).run());
    }
    loops.spawn(expire_waiting(context.store.clone(), names));
    // A loop never ends by itself; one that panicked must not leave its jobs unattended.
    if let Some(Err(error)) = loops.join_next().await {
        tracing::error!("a scheduler loop failed: {error}");
    }
}

async fn expire_waiting(store: Store, executors: Vec<String>) {
    let executors: Vec<&str> = executors.iter().map(String::as_str).collect();
    loop {
        if let Err(error) = store.expire_waiting(&executors, Timestamp::now()).await {
            tracing::warn!("cannot look for jobs that waited too long: {error}");
        }
        tokio::time::sleep(EXPIRY_INTERVAL).await;
    }
}
