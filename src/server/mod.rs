//! Wires the parts together and runs them: they meet only in the store, so a restart is just starting them again.

mod admin_files;
mod intake;
mod settings;
mod start;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::{
    http::{
        admin::{Admin, AdminToken, admin_routes},
        body::BodyLimits,
        labelbox::{Door, labelbox_routes},
        listener,
        tls::Tls,
        visits::Visits,
    },
    reporter::Reporter,
    scheduler::{self, Context, Engine},
    store::Store,
    transfer::Transfer,
};
use admin_files::ServerFile;
use intake::StoreIntake;

pub use admin_files::{ServerInfo, admin_token_path, read_server_info};
pub use settings::Settings;
pub use start::{ExecutorMistakes, StartError, build_engines};

/// How long the last connections may take beyond the listeners' own grace.
const SHUTDOWN_SLACK: Duration = Duration::from_secs(2);

/// A server that has everything it needs: the store, its executors, its two listeners.
#[derive(Debug)]
pub struct Server {
    settings: Settings,
    store: Store,
    engines: BTreeMap<String, Engine>,
    scheduling: Context,
    listeners: Listeners,
    tls: Option<Tls>,
    token: AdminToken,
    // Removed when the server stops: its presence tells the command line where we listen.
    _server_file: ServerFile,
}

#[derive(Debug)]
struct Listeners {
    labelbox: TcpListener,
    admin: TcpListener,
    addresses: Addresses,
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For Labelbox.
    pub labelbox: SocketAddr,
    /// For people and the command line.
    pub admin: SocketAddr,
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
        if self.tls.is_some() { "https" } else { "http" }
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

    /// Serves until `shutdown` turns true: then takes nothing new, finishes answering, and leaves jobs running.
    pub async fn run(mut self, shutdown: watch::Receiver<bool>) {
        let config = self.settings.config.get();
        let labelboxes = self.settings.labelboxes.clone();
        let mut actors = JoinSet::new();
        actors.spawn(scheduler::run(
            self.scheduling.clone(),
            self.engines.clone(),
        ));
        let jobs_dir = config.server.jobs_dir.clone();
        actors.spawn(Transfer::new(self.store.clone(), jobs_dir, labelboxes.clone()).run());
        let current = self.settings.config.clone();
        actors.spawn(Reporter::new(self.store.clone(), labelboxes, current).run());
        let tls = self.tls.take();
        let acceptor = tls.as_ref().map(Tls::acceptor);
        actors.spawn(async move {
            match tls {
                Some(tls) => tls.watch().await,
                None => std::future::pending().await,
            }
        });
        let grace = config.server.shutdown_grace + SHUTDOWN_SLACK;
        let mut stopping = shutdown.clone();
        let mut listening = self.listen(acceptor, shutdown);
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => {}
            // An actor never ends by itself; without it the server would promise what it cannot keep.
            _ = actors.join_next() => tracing::error!("a part of the server failed: the server ends here"),
        }
        let answered = async { while listening.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, answered).await.is_err() {
            tracing::warn!("some answers could not be finished in time");
        }
    }

    fn listen(self, tls: Option<TlsAcceptor>, shutdown: watch::Receiver<bool>) -> JoinSet<()> {
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
        let intake = StoreIntake::boxed(self.store.clone(), self.settings.config.clone());
        let visits = Arc::<Visits>::default();
        let labelbox = labelbox_routes(Door {
            workspaces: self.settings.routes,
            access: self.settings.access,
            intake,
            limits: body,
            visits: Arc::clone(&visits),
        });
        let slots = self
            .engines
            .values()
            .map(|engine| (engine.name.clone(), engine.max_running));
        let admin = Admin::new(
            self.store.clone(),
            self.settings.config,
            slots.collect(),
            visits,
            self.token,
        );
        let admin = admin_routes(admin, body);
        let mut listening = JoinSet::new();
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
