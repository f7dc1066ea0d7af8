//! An attempt that is ours: fetched, trained, delivered.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{
    courier::{Courier, Pump},
    fetch,
    home::Home,
    outputs::{self, Sent},
    patience::Patience,
    remote::{Fault, Remote},
    unclaimed, unusable,
};
use crate::{
    config::Secret,
    job::Stage,
    job_dir::{Event, ExitRecord, Lock, Request, files},
    supervisor::{
        self, SuperviseError, Work, complain,
        record::{self, End},
        seat::Seat,
        watch::{self, Signals},
    },
};

/// What is owed waits for a server that is away for so long; then it stays on disk.
pub(super) const DELIVERY_PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

/// The attempt, claimed.
pub(super) struct Attempt {
    pub(super) runtime: Runtime,
    pub(super) remote: Remote,
    pub(super) home: Home,
    pub(super) courier: Courier,
    /// Differs between those who wait for the same server.
    pub(super) spread: u64,
}

impl Attempt {
    /// Fetches, runs the command, and writes down here how it ended.
    pub(super) fn train(
        &self,
        request: &Request,
        env: BTreeMap<String, Secret>,
        mut signals: Signals,
        (lock, instance): (Lock, Uuid),
    ) -> Result<(ExitRecord, Seat), SuperviseError> {
        let dir = &self.home.dir;
        self.lay_out(request)
            .map_err(SuperviseError::broken("write the job directory"))?;
        let fetched = self.runtime.block_on(self.fetch(&mut signals));
        let seat = Seat::take(lock, dir, request.launch_id, instance)?;
        let work = Work { dir, request, env };
        let record = supervisor::attend(&work, &seat, || match fetched {
            Ok(()) => {
                self.tell_stage(Stage::Training);
                supervisor::run(&self.runtime, &work, signals)
            }
            Err(end) => end,
        })?;
        Ok((record, seat))
    }

    /// The same folders and files as anywhere else, with this machine's own paths.
    fn lay_out(&self, request: &Request) -> io::Result<()> {
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
            cause = signals.received() => return Err(End::Interrupted(cause)),
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
    pub(super) fn deliver(self, mut record: ExitRecord) -> Result<u8, SuperviseError> {
        let code = record::exit_code(&record);
        let delivered = self.send_outputs(&mut record);
        let Self {
            runtime,
            remote,
            home,
            courier,
            spread,
        } = self;
        let pump = courier.finish(remote.clone());
        let delivered = delivered.and_then(|()| {
            let failed = || Fault::Later("the thread that calls the server failed".to_owned());
            let (mut pump, mut patience) = (pump.ok_or_else(failed)?, patience(spread));
            runtime.block_on(last_words(&mut pump, &remote, &record, &mut patience))
        });
        // A file system that hangs must not keep us.
        runtime.shutdown_background();
        match delivered {
            Ok(()) => {
                home.remove();
                Ok(code)
            }
            Err(Fault::Revoked | Fault::Claimed) => Err(unclaimed(home, Fault::Revoked)),
            Err(Fault::Later(why) | Fault::Refused(why)) => Err(waits_at(home.job.path(), &why)),
        }
    }

    /// Sends `out/`; what the server will not have is noted in the record.
    fn send_outputs(&self, record: &mut ExitRecord) -> Result<(), Fault> {
        if self.courier.is_revoked() {
            return Err(Fault::Revoked);
        }
        let mut patience = patience(self.spread);
        let outputs = outputs::send(&self.remote, &self.home.dir, &mut patience);
        match self.runtime.block_on(outputs) {
            Ok(Sent::All) => Ok(()),
            Ok(Sent::NotWanted) => {
                complain(format_args!("out/ is not sent: the command was to stop"));
                Ok(())
            }
            Err(Fault::Refused(why)) => {
                complain(format_args!("out/ is not sent: {why}"));
                record.outputs_refused = Some(why);
                rewrite(&self.home, record).map_err(|error| Fault::Later(error.to_string()))
            }
            Err(fault) => Err(fault),
        }
    }

    /// The command was begun by an earlier supervisor, which is gone: how it ended is not known, but what it said is.
    pub(super) fn leave(self) {
        if let Some(mut pump) = self.courier.finish(self.remote) {
            // The server learns from the engine that it is over.
            let _ = self.runtime.block_on(pump.tell());
        }
    }
}

const fn patience(spread: u64) -> Patience {
    Patience::of(DELIVERY_PATIENCE, spread)
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

fn rewrite(home: &Home, record: &ExitRecord) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(record).map_err(io::Error::other)?;
    files::write_atomic(&home.dir.exit(), &text)
}
