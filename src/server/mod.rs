//! Wires the parts together and runs them: they meet only in the store, so a restart is just starting them again.

mod admin_files;
mod intake;
mod listen;
mod restoration;
mod room;
mod run;
mod settings;
mod start;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::{net::TcpListener, sync::Notify};

use crate::{
    http::{admin::AdminToken, tls::Tls},
    meters::ExportMeters,
    recording::Recorder,
    scheduler::{Context, Engine},
    store::Store,
    transfer::files::Cache,
};
use admin_files::ServerFile;
use restoration::Restoration;

pub use admin_files::{ServerInfo, admin_token_path, read_server_info};
pub use settings::{Kept, Settings};
pub use start::{ExecutorMistakes, StartError, build_engines};

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
}
