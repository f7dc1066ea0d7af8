//! Wires the parts together and runs them: they meet only in the store, so a restart is just starting them again.

mod admin_files;
mod intake;
mod restoration;
mod settings;
mod start;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    config::{Config, Current},
    disk::Room,
    http::{
        admin::{Admin, AdminToken, admin_routes},
        body::BodyLimits,
        labelbox::{Door, labelbox_routes},
        listener,
        mirror::{Mirror, mirror_routes},
        tls::Tls,
        visits::Visits,
    },
    meters::ExportMeters,
    recording::Recorder,
    reporter::Reporter,
    retention::Retention,
    scheduler::{self, Context, Engine},
    store::Store,
    transfer::{self, MediaSources, Transfer, files::Cache},
};
use admin_files::ServerFile;
use intake::StoreIntake;
use restoration::Restoration;

pub use admin_files::{ServerInfo, admin_token_path, read_server_info};
pub use settings::{Kept, Settings};
pub use start::{ExecutorMistakes, StartError, build_engines};

/// How often the disks are looked at.
const ROOM_INTERVAL: Duration = Duration::from_secs(2);

/// How long the last connections may take beyond the listeners' own grace.
const SHUTDOWN_SLACK: Duration = Duration::from_secs(2);

/// A server that has everything it needs: the store, its executors, its listeners.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    store: Store,
    engines: BTreeMap<String, Engine>,
    scheduling: Context,
    listeners: Listeners,
    tls: Certificates,
    token: AdminToken,
    prune: Arc<Notify>,
    cache: Cache,
    restoration: Option<Restoration>,
    exports: Arc<ExportMeters>,
    // Removed when the server stops: its presence tells the command line where we listen.
    _server_file: ServerFile,
}

/// The certificates of the listeners that speak TLS themselves.
#[derive(Debug, Default)]
struct Certificates {
    labelbox: Option<Tls>,
    jobs: Option<Tls>,
}

#[derive(Debug)]
struct Listeners {
    labelbox: TcpListener,
    admin: TcpListener,
    jobs: Option<TcpListener>,
    addresses: Addresses,
}

/// A part of a running server ended, which none does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a part of the server failed, so it ends; jobs that run go on, and the next start finds them"
)]
pub struct PartFailed;

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For Labelbox.
    pub labelbox: SocketAddr,
    /// For people and the command line.
    pub admin: SocketAddr,
    /// For supervisors that share no files with the server, if they are heard.
    pub jobs: Option<SocketAddr>,
}

impl Server {
    /// Where it listens; with port 0 in `models.toml` the kernel has chosen.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.listeners.addresses
    }

    /// How Labelbox's listener is spoken to.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.labelbox.is_some() {
            "https"
        } else {
            "http"
        }
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its settings, which a reload replaces while it runs.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// The same server; engines run `program` as the supervisor instead of the program that this is.
    #[must_use]
    pub fn supervising_with(mut self, program: PathBuf) -> Self {
        self.scheduling.program = program;
        self
    }

    /// The same server; all that it exchanges with Labelbox is kept, without secrets.
    #[must_use]
    pub fn recorded_by(mut self, recorder: Recorder) -> Self {
        self.settings.record(recorder);
        self
    }

    /// Serves until `shutdown` turns true: then takes nothing new, finishes answering, and leaves jobs running.
    ///
    /// # Errors
    /// [`PartFailed`]: it ended before, since a part of it did; whoever started it should start it again.
    pub async fn run(mut self, shutdown: watch::Receiver<bool>) -> Result<(), PartFailed> {
        let config = self.settings.config.get();
        let labelboxes = self.settings.labelboxes.clone();
        let mut actors = JoinSet::new();
        actors.spawn(scheduler::run(
            self.scheduling.clone(),
            self.engines.clone(),
        ));
        let jobs_dir = config.server.jobs_dir.clone();
        if let Some(restoration) = self.restoration.take() {
            tokio::spawn(restoration.finish(self.store.clone()));
        }
        let room = self.scheduling.room.clone();
        actors.spawn(watch_room(self.settings.config.clone(), room.clone()));
        let (store, prune) = (self.store.clone(), Arc::clone(&self.prune));
        let retention =
            Retention::new(store, jobs_dir.clone(), self.settings.config.clone(), prune);
        actors.spawn(retention.run());
        let exports = Arc::clone(&self.exports);
        let transfer = Transfer::new(transfer::Context {
            store: self.store.clone(),
            jobs_dir,
            labelboxes: labelboxes.clone(),
            config: self.settings.config.clone(),
            room,
            export_places: self.export_places(),
            exports,
            media: MediaSources {
                reach: self.settings.reach.clone(),
                proxy: config.server.media_proxy.clone(),
                cache: self.cache.clone(),
            },
        });
        actors.spawn(transfer.run());
        let current = self.settings.config.clone();
        actors.spawn(Reporter::new(self.store.clone(), labelboxes, current).run());
        let Certificates { labelbox, jobs } = std::mem::take(&mut self.tls);
        let acceptors = [&labelbox, &jobs].map(|tls| tls.as_ref().map(Tls::acceptor));
        for tls in [labelbox, jobs].into_iter().flatten() {
            actors.spawn(tls.watch());
        }
        let grace = config.server.shutdown_grace + SHUTDOWN_SLACK;
        let mut stopping = shutdown.clone();
        let mut listening = self.listen(acceptors, shutdown);
        let ended = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => Ok(()),
            // An actor never ends by itself; without it the server would promise what it cannot keep.
            _ = actors.join_next() => Err(PartFailed),
        };
        let answered = async { while listening.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, answered).await.is_err() {
            tracing::warn!("some answers could not be finished in time");
        }
        ended
    }

    /// By executor, how many of its jobs may have their data, or be fetching it, before they have a slot.
    fn export_places(&self) -> BTreeMap<String, u32> {
        let config = self.settings.config.get();
        let executors = config.executors.iter();
        executors
            .map(|one| {
                (
                    one.name.clone(),
                    one.max_running.saturating_add(one.export_ahead),
                )
            })
            .collect()
    }

    fn listen(
        mut self,
        [tls, jobs_tls]: [Option<TlsAcceptor>; 2],
        shutdown: watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let config = self.settings.config.get();
        let server = &config.server;
        let limits = listener::Limits {
            header_timeout: server.header_timeout,
            max_connections: server.max_connections,
            drain: server.shutdown_grace,
        };
        let body = BodyLimits {
            size: server.max_body,
            time: server.body_timeout,
        };
        let mut listening = JoinSet::new();
        if let (Some(listener), Some(mirror)) = (self.listeners.jobs.take(), self.mirror()) {
            let routes = mirror_routes(mirror, server.body_timeout);
            let shutdown = shutdown.clone();
            listening.spawn(listener::serve(
                listener, jobs_tls, routes, limits, shutdown,
            ));
        }
        let intake = StoreIntake::boxed(self.store.clone(), self.settings.config.clone());
        let visits = Arc::<Visits>::default();
        let labelbox = labelbox_routes(Door {
            workspaces: self.settings.routes.clone(),
            access: self.settings.access,
            intake,
            limits: body,
            visits: Arc::clone(&visits),
            recorder: self.settings.recorder,
        });
        let slots = self
            .engines
            .values()
            .map(|engine| (engine.name.clone(), engine.max_running));
        let answering = self
            .engines
            .values()
            .map(|engine| (engine.name.clone(), Arc::clone(&engine.answering)));
        let admin = Admin {
            jobs_dir: config.server.jobs_dir.clone(),
            store: self.store.clone(),
            config: self.settings.config,
            slots: slots.collect(),
            answering: answering.collect(),
            visits,
            routes: self.settings.routes,
            room: self.scheduling.room.clone(),
            labelboxes: self.settings.labelboxes,
            prune: self.prune,
            exports: self.exports,
            token: self.token,
        };
        let admin = admin_routes(admin, body);
        listening.spawn(listener::serve(
            self.listeners.labelbox,
            tls,
            labelbox,
            limits,
            shutdown.clone(),
        ));
        let server_file = self._server_file;
        listening.spawn(async move {
            listener::serve(self.listeners.admin, None, admin, limits, shutdown).await;
            drop(server_file);
        });
        listening
    }
}

impl Server {
    /// What supervisors on other machines are served with, if they are heard.
    fn mirror(&self) -> Option<Mirror> {
        let config = self.settings.config.get();
        let jobs = config.server.jobs.as_ref()?;
        let bell = |(name, engine): (&String, &Engine)| (name.clone(), Arc::clone(&engine.wake));
        Some(Mirror {
            store: self.store.clone(),
            jobs_dir: config.server.jobs_dir.clone(),
            key: self.scheduling.mirroring.as_ref()?.key.clone(),
            bells: self.engines.iter().map(bell).collect(),
            room: self.scheduling.room.clone(),
            max_output: jobs.max_output,
            max_events: jobs.max_events,
        })
    }
}

/// Looks at the disks, for ever; one that hangs leaves what was known.
async fn watch_room(config: Current<Config>, room: Current<Room>) {
    loop {
        tokio::time::sleep(ROOM_INTERVAL).await;
        let server = config.get().server.clone();
        let look = move || Room::look(&server.state_dir, &server.jobs_dir, server.min_free);
        let Ok(now) = tokio::task::spawn_blocking(look).await else {
            continue;
        };
        let (before, shortage) = (room.get().shortage(), now.shortage());
        match (before, shortage) {
            (None, Some(shortage)) => tracing::error!("{shortage}"),
            (Some(_), None) => tracing::info!("there is room on the disks again: jobs may start"),
            _ => {}
        }
        room.replace(now);
    }
}
