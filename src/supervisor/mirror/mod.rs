//! A supervisor that shares no files with the server: it claims, fetches and tells over HTTP, and in between works on a
//! job directory of its own machine as any other supervisor does.
//!
//! A server that is away stops nothing: the command goes on, and what is owed waits on disk, also for a further
//! supervisor of the same launch on this machine.

mod courier;
mod fetch;
mod home;
mod outputs;
mod patience;
mod remote;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::runtime::Runtime;
use uuid::Uuid;

use self::{
    courier::{Courier, Pump},
    home::Home,
    outputs::Sent,
    patience::Patience,
    remote::{Fault, Remote},
};
use super::{
    SuperviseError, Work,
    record::{self, End},
    seat::{self, Seat},
    watch::{self, Signals},
};
use crate::{
    config::Secret,
    job::{LaunchId, Stage},
    job_dir::{Event, ExitRecord, Request, files},
    mirror::{ClaimAnswer, ClaimRequest},
    process,
};

/// A supervisor that cannot claim for this long leaves its place: nothing was begun, and another attempt may do better.
const CLAIM_PATIENCE: Duration = Duration::from_secs(3600);

/// What is owed waits for a server that is away for so long; then it stays on disk.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

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
}

/// Runs the attempt to its end, tells the server everything, and answers with the command's exit code, or 128 and its
/// signal. To be called from the main thread of a process of its own, as [`supervise`](super::supervise).
///
/// # Errors
/// [`SuperviseError`] when no command was run, or its end cannot be told.
pub fn supervise_mirrored(mirrored: Mirrored) -> Result<u8, SuperviseError> {
    super::isolate().map_err(SuperviseError::broken("leave the session"))?;
    let home = Home::open(mirrored.work_dir, mirrored.launch_id)
        .map_err(SuperviseError::broken("make the job directory"))?;
    let (runtime, mut signals) = super::event_loop()?;
    let lock = seat::wait_for_lock(&home.dir)?;
    let instance = home
        .instance()
        .map_err(SuperviseError::broken("name this supervisor"))?;
    let spread = instance.as_u64_pair().0;
    let make_remote = move |token| Remote::new(&mirrored.url, mirrored.launch_id, token);
    let remote = make_remote(mirrored.token).map_err(unusable)?;
    let ended = home
        .dir
        .read_exit()
        .map_err(SuperviseError::broken("read exit.json"))?;
    let patience = match ended {
        Some(_) => DELIVERY_PATIENCE,
        None => CLAIM_PATIENCE,
    };
    let claim = claim(
        &remote,
        instance,
        &mut signals,
        Patience::of(patience, spread),
    );
    let claimed = runtime.block_on(claim);
    let ClaimAnswer {
        token,
        env,
        request,
    } = match claimed {
        Ok(answer) => answer,
        Err(fault) => return Err(unclaimed(home, fault)),
    };
    let remote = remote.with_token(token.0.clone());
    let courier = Courier::start(
        move || make_remote(token.0),
        &home.dir,
        request.limits.cancel_grace_ms,
        spread,
    )
    .map_err(SuperviseError::broken("start a thread"))?;
    let attempt = Attempt {
        runtime,
        remote,
        home,
        courier,
        spread,
    };
    let record = match ended {
        Some(record) => record,
        None => {
            let env = env.into_iter().map(|(name, value)| (name, value.0));
            match attempt.train(request, env.collect(), signals, (lock, instance)) {
                Ok(record) => record,
                Err(error) => {
                    attempt.leave();
                    return Err(error);
                }
            }
        }
    };
    attempt.deliver(record)
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
        () = signals.received() => Err(Fault::Refused("asked to stop before it began".to_owned())),
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

/// An attempt that is ours.
struct Attempt {
    runtime: Runtime,
    remote: Remote,
    home: Home,
    courier: Courier,
    spread: u64,
}

impl Attempt {
    /// Fetches, runs the command, and writes down here how it ended.
    fn train(
        &self,
        request: Request,
        env: BTreeMap<String, Secret>,
        mut signals: Signals,
        (lock, instance): (crate::job_dir::Lock, Uuid),
    ) -> Result<ExitRecord, SuperviseError> {
        let dir = &self.home.dir;
        self.lay_out(&request)
            .map_err(SuperviseError::broken("write the job directory"))?;
        let fetched = self.runtime.block_on(self.fetch(&mut signals));
        let seat = Seat::take(lock, dir, request.launch_id, instance)?;
        let work = Work {
            dir,
            request: &request,
            env,
        };
        super::attend(&work, &seat, || match fetched {
            Ok(()) => {
                self.tell_stage(Stage::Training);
                super::run(&self.runtime, &work, signals)
            }
            Err(end) => end,
        })
    }

    /// The same folders and files as anywhere else, with this machine's own paths.
    fn lay_out(&self, request: &Request) -> std::io::Result<()> {
        let mut request = request.clone();
        if !request.code.is_empty() {
            request.workdir = self.home.dir.code();
        }
        self.home.job.create_attempt(&request)?;
        Ok(())
    }

    /// Until everything is here, or there is no sense in it any more.
    async fn fetch(&self, signals: &mut Signals) -> Result<(), End> {
        self.tell_stage(Stage::Preparing);
        let fetched = tokio::select! {
            fetched = fetch::fetch(&self.remote, &self.home, self.spread) => fetched,
            () = signals.received() => return Err(End::Interrupted),
            _ = watch::cancelled(&self.home.dir) => return Err(End::NeverBegun),
        };
        fetched.map_err(|fault| match fault {
            Fault::Revoked | Fault::Claimed => End::NeverBegun,
            Fault::Later(why) | Fault::Refused(why) => End::NotFetched(why),
        })
    }

    /// The server takes a claimed attempt for one that trains: what happens besides has to be said.
    fn tell_stage(&self, stage: Stage) {
        // Nobody is led astray for long if it cannot be.
        let _ = self.home.dir.append_event(&Event::Stage { stage });
    }

    /// Sends everything that is owed, the record last; then nothing of it is kept here.
    fn deliver(self, mut record: ExitRecord) -> Result<u8, SuperviseError> {
        let code = record::exit_code(&record);
        if self.courier.is_revoked() {
            return self.give_up();
        }
        let mut patience = Patience::of(DELIVERY_PATIENCE, self.spread);
        let (remote, home) = (&self.remote, &self.home);
        let outputs = outputs::send(remote, &home.dir, &mut patience);
        match self.runtime.block_on(outputs) {
            Ok(Sent::All) => {}
            Ok(Sent::NotWanted) => eprintln!("out/ is not sent: the command was to stop"),
            Err(Fault::Revoked | Fault::Claimed) => return self.give_up(),
            Err(Fault::Later(why)) => return Err(self.undelivered(why)),
            Err(Fault::Refused(why)) => {
                eprintln!("out/ is not sent: {why}");
                record.outputs_refused = Some(why);
                rewrite(home, &record).map_err(SuperviseError::broken("write exit.json"))?;
            }
        }
        let Some(mut pump) = self.courier.finish() else {
            return Err(unusable(
                "the thread that tells it how it goes failed".to_owned(),
            ));
        };
        let last_words = last_words(&mut pump, remote, &record, &mut patience);
        match self.runtime.block_on(last_words) {
            Ok(()) => {
                self.home.remove();
                Ok(code)
            }
            Err(Fault::Revoked | Fault::Claimed) => Err(unclaimed(self.home, Fault::Revoked)),
            Err(Fault::Later(why) | Fault::Refused(why)) => {
                Err(waits_at(self.home.job.path(), &why))
            }
        }
    }

    /// The command was begun by an earlier supervisor, which is gone: how it ended is not known, but what it said is.
    fn leave(self) {
        if let Some(mut pump) = self.courier.finish() {
            // The server learns from the engine that it is over.
            let _ = self.runtime.block_on(pump.tell());
        }
    }

    fn give_up(self) -> Result<u8, SuperviseError> {
        let _pump = self.courier.finish();
        Err(unclaimed(self.home, Fault::Revoked))
    }

    fn undelivered(self, why: String) -> SuperviseError {
        let _pump = self.courier.finish();
        waits_at(self.home.job.path(), &why)
    }
}

fn waits_at(path: &Path, why: &str) -> SuperviseError {
    let path = path.display();
    unusable(format!(
        "{why}; how it ended, and what it left, waits in {path}"
    ))
}

/// What is left of events and log, then the record of the end.
async fn last_words(
    pump: &mut Pump,
    remote: &Remote,
    record: &ExitRecord,
    patience: &mut Patience,
) -> Result<(), Fault> {
    while let Err(fault) = pump.tell().await {
        patience.bear("tell the server how it went", fault).await?;
    }
    patience.restore();
    while let Err(fault) = remote.put_exit(record).await {
        patience.bear("tell the server how it ended", fault).await?;
    }
    Ok(())
}

fn rewrite(home: &Home, record: &ExitRecord) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(record).map_err(std::io::Error::other)?;
    files::write_atomic(&home.dir.exit(), &text)
}
