//! While the command runs: a thread of its own that tells the server what is new, and hears what it wishes.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    patience::Patience,
    remote::{Fault, Remote},
};
use crate::{
    job_dir::{AttemptDir, CancelRequest, HEARTBEAT_INTERVAL, files},
    mirror::Standing,
};

/// How often is looked for something new.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Bytes sent at once.
const PIECE: u64 = 1 << 20;

/// It does not give up before the supervisor does.
const FOR_EVER: Duration = Duration::MAX;

/// The thread.
#[derive(Debug)]
pub(super) struct Courier {
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<Pump>,
    revoked: Arc<AtomicBool>,
}

/// What has been told so far.
#[derive(Debug)]
pub(super) struct Pump {
    remote: Remote,
    dir: AttemptDir,
    grace_ms: u64,
    revoked: Arc<AtomicBool>,
    beats: u64,
    last_beat: Option<Instant>,
    events: Option<u64>,
    log: u64,
}

impl Courier {
    /// Begins; `grace_ms` is the command's when its attempt is revoked.
    pub(super) fn start(
        make_remote: impl FnOnce() -> Result<Remote, String> + Send + 'static,
        dir: &AttemptDir,
        grace_ms: u64,
        spread: u64,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let revoked = Arc::<AtomicBool>::default();
        let remote = make_remote().map_err(io::Error::other)?;
        let mut pump = Pump {
            remote,
            dir: dir.clone(),
            grace_ms,
            revoked: Arc::clone(&revoked),
            beats: 0,
            last_beat: None,
            events: Some(0),
            log: 0,
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("courier".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(pump.run(stopped, Patience::of(FOR_EVER, spread)));
            pump
        })?;
        Ok(Self {
            stop,
            thread,
            revoked,
        })
    }

    /// Whether the server has said that the attempt does not count any longer.
    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    /// Ends the thread; what is left to tell is the caller's. None if the thread failed.
    pub(super) fn finish(self) -> Option<Pump> {
        self.stop.send_replace(true);
        self.thread.join().ok()
    }
}

impl Pump {
    async fn run(&mut self, mut stopped: watch::Receiver<bool>, mut patience: Patience) {
        loop {
            let round = async {
                match self.tell().await {
                    Ok(()) => {
                        patience.restore();
                        sleep(LOOK_INTERVAL).await;
                        Ok(())
                    }
                    Err(fault) => patience.bear("tell the server how it goes", fault).await,
                }
            };
            let ended = tokio::select! {
                ended = round => ended,
                _ = stopped.wait_for(|stop| *stop) => return,
            };
            if ended.is_err() {
                return;
            }
        }
    }

    /// Tells everything that is new.
    pub(super) async fn tell(&mut self) -> Result<(), Fault> {
        let told = async {
            self.beat().await?;
            self.tell_events().await?;
            self.tell_log().await
        };
        let told = told.await;
        if told == Err(Fault::Revoked) {
            self.end_command();
        }
        told
    }

    async fn beat(&mut self) -> Result<(), Fault> {
        let is_due = |at: Instant| at.elapsed() >= HEARTBEAT_INTERVAL;
        if !self.last_beat.is_none_or(is_due) {
            return Ok(());
        }
        let standing = self.remote.heartbeat(self.beats + 1).await?;
        self.beats += 1;
        self.last_beat = Some(Instant::now());
        self.heed(&standing);
        Ok(())
    }

    async fn tell_events(&mut self) -> Result<(), Fault> {
        while let Some(offset) = self.events {
            let piece = read_from(&self.dir, "events.ndjson", offset);
            let piece = piece.map_err(|error| Fault::Later(format!("events.ndjson: {error}")))?;
            if piece.is_empty() {
                return Ok(());
            }
            match self.remote.append("events", offset, piece).await {
                Ok(standing) => {
                    self.heed(&standing);
                    if standing.have == offset {
                        return Err(Fault::Later("the server takes no events".to_owned()));
                    }
                    self.events = Some(standing.have);
                }
                Err(Fault::Refused(why)) => {
                    eprintln!("no more events are sent: {why}");
                    self.events = None;
                }
                Err(fault) => return Err(fault),
            }
            self.beat().await?;
        }
        Ok(())
    }

    async fn tell_log(&mut self) -> Result<(), Fault> {
        loop {
            let chunk = self.dir.read_log(self.log, PIECE);
            let chunk = chunk.map_err(|error| Fault::Later(format!("the log: {error}")))?;
            if chunk.bytes.is_empty() {
                return Ok(());
            }
            let standing = self.remote.append("log", chunk.from, chunk.bytes).await?;
            self.heed(&standing);
            if standing.have <= self.log {
                return Err(Fault::Later("the server takes no log".to_owned()));
            }
            self.log = standing.have;
            self.beat().await?;
        }
    }

    /// A wish to stop goes the way that it goes everywhere: through a file that the supervisor looks for.
    fn heed(&self, standing: &Standing) {
        if let Some(wish) = &standing.cancel {
            self.wish(wish);
        }
    }

    fn end_command(&self) {
        self.revoked.store(true, Ordering::Relaxed);
        self.wish(&CancelRequest {
            grace_ms: self.grace_ms,
            reason: "the attempt does not count any longer".to_owned(),
        });
    }

    fn wish(&self, wish: &CancelRequest) {
        if let Err(error) = self.dir.request_cancel(wish) {
            eprintln!("a wish to stop cannot be passed on: {error}");
        }
    }
}

fn read_from(dir: &AttemptDir, name: &str, offset: u64) -> io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    if let Some(mut file) = files::open_untrusted(dir.path(), name)? {
        file.seek(SeekFrom::Start(offset))?;
        file.take(PIECE).read_to_end(&mut piece)?;
    }
    Ok(piece)
}
