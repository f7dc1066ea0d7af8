//! A supervisor that shares no files with the server: it claims, fetches and tells over HTTP, and in between works on a
//! job directory of its own machine as any other supervisor does.
//!
//! A server that is away stops nothing: the command goes on, and what is owed waits on disk, also for a further
//! supervisor of the same launch on this machine.

mod attempt;
mod courier;
mod fetch;
mod home;
mod outputs;
mod patience;
mod remote;

use std::{path::PathBuf, time::Duration};

use tokio::runtime::Runtime;
use uuid::Uuid;

use self::{
    attempt::{Attempt, DELIVERY_PATIENCE},
    courier::Courier,
    home::Home,
    patience::Patience,
    remote::{Connections, Fault, Remote},
};
use super::{SuperviseError, seat, watch::Signals};
use crate::{
    config::Secret,
    job::LaunchId,
    job_dir::{ExitRecord, Lock},
    mirror::{ClaimAnswer, ClaimRequest},
    process::{self, ProcessId},
};

/// A supervisor that cannot claim for this long leaves its place: nothing was begun, and another attempt may do better.
const CLAIM_PATIENCE: Duration = Duration::from_secs(3600);

/// Where the attempt is, and who asks for it.
#[derive(Debug)]
pub struct Mirrored {
    /// What precedes `/jobs/…` at the server.
    pub url: String,
    /// The launch.
    pub launch_id: LaunchId,
    /// Its token.
    pub token: Secret,
    /// Below it the job directory is made; none for the user's own place for such things.
    pub work_dir: Option<PathBuf>,
    /// The engine's process that stands for the attempt: its end stops the command.
    pub keeper: Option<ProcessId>,
}

/// Runs the attempt to its end, tells the server everything, and answers with the command's exit code, or 128 and its
/// signal. To be called from the main thread of a process of its own, as [`supervise`](super::supervise).
///
/// # Errors
/// [`SuperviseError`] when no command was run, or its end cannot be told.
pub fn supervise_mirrored(mirrored: Mirrored) -> Result<u8, SuperviseError> {
    super::isolate().map_err(SuperviseError::broken("leave the session"))?;
    let (runtime, signals) = super::event_loop(mirrored.keeper)?;
    let home = Home::open(mirrored.work_dir.as_deref(), mirrored.launch_id)
        .map_err(SuperviseError::broken("make the job directory"))?;
    // Held to the very end: a further supervisor of this launch here waits for what this one does.
    let lock = seat::wait_for_lock(&home.dir)?;
    let instance = home
        .instance()
        .map_err(SuperviseError::broken("name this supervisor"))?;
    let ended = home
        .dir
        .read_exit()
        .map_err(SuperviseError::broken("read exit.json"))?;
    let mut newcomer = Newcomer {
        mirrored,
        instance,
        runtime,
        signals,
    };
    let patience = match ended {
        Some(_) => DELIVERY_PATIENCE,
        None => CLAIM_PATIENCE,
    };
    match newcomer.claim(patience)? {
        Ok(answer) => newcomer.go_on(home, lock, answer, ended),
        Err(fault) => Err(unclaimed(home, fault)),
    }
}

/// A supervisor that has claimed nothing yet.
struct Newcomer {
    mirrored: Mirrored,
    instance: Uuid,
    runtime: Runtime,
    signals: Signals,
}

impl Newcomer {
    fn remote(&self, token: Secret, connections: Connections) -> Result<Remote, SuperviseError> {
        let Mirrored { url, launch_id, .. } = &self.mirrored;
        Remote::new(url, *launch_id, token, connections).map_err(unusable)
    }

    /// Differs between those who wait for the same server.
    fn spread(&self) -> u64 {
        self.instance.as_u64_pair().0
    }

    fn claim(&mut self, patience: Duration) -> Result<Result<ClaimAnswer, Fault>, SuperviseError> {
        let remote = self.remote(self.mirrored.token.clone(), Connections::Fresh)?;
        let patience = Patience::of(patience, self.spread());
        let claim = claim(&remote, self.instance, &mut self.signals, patience);
        Ok(self.runtime.block_on(claim))
    }

    /// The attempt is ours: trains unless an earlier supervisor has, and delivers.
    fn go_on(
        self,
        home: Home,
        lock: Lock,
        answer: ClaimAnswer,
        ended: Option<ExitRecord>,
    ) -> Result<u8, SuperviseError> {
        let ClaimAnswer {
            token,
            env,
            request,
        } = answer;
        let grace_ms = request.limits.cancel_grace_ms;
        let for_courier = self.remote(token.0.clone(), Connections::Fresh)?;
        let courier = Courier::start(for_courier, &home.dir, grace_ms, self.spread())
            .map_err(SuperviseError::broken("start a thread"))?;
        let attempt = Attempt {
            remote: self.remote(token.0, Connections::Kept)?,
            spread: self.spread(),
            runtime: self.runtime,
            home,
            courier,
        };
        if let Some(record) = ended {
            let _lock = lock;
            return attempt.deliver(record);
        }
        let env = env.into_iter().map(|(name, value)| (name, value.0));
        match attempt.train(&request, env.collect(), self.signals, (lock, self.instance)) {
            Ok((record, _seat)) => attempt.deliver(record),
            Err(error) => {
                attempt.leave();
                Err(error)
            }
        }
    }
}

fn unusable(text: String) -> SuperviseError {
    SuperviseError::Broken {
        doing: "call the server",
        source: std::io::Error::other(text),
    }
}

async fn claim(
    remote: &Remote,
    instance: Uuid,
    signals: &mut Signals,
    mut patience: Patience,
) -> Result<ClaimAnswer, Fault> {
    let asked = ClaimRequest {
        instance,
        boot_id: process::boot_id(),
        machine_id: process::machine_id(),
        engine_id: None,
    };
    let claimed = async {
        loop {
            match remote.claim(&asked).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => patience.bear("claim the attempt", fault).await?,
            }
        }
    };
    tokio::select! {
        claimed = claimed => claimed,
        _ = signals.received() => Err(Fault::Refused("asked to stop before it began".to_owned())),
    }
}

/// Why there is nothing to do here. What was to be delivered stays, unless nobody wants it any more.
fn unclaimed(home: Home, fault: Fault) -> SuperviseError {
    match fault {
        Fault::Revoked => {
            home.remove();
            SuperviseError::ClaimLost("the attempt does not count any longer".to_owned())
        }
        Fault::Claimed => {
            home.remove();
            SuperviseError::ClaimLost("by another supervisor".to_owned())
        }
        Fault::Refused(why) => SuperviseError::ClaimLost(why),
        Fault::Later(why) => unusable(why),
    }
}
