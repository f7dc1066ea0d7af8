//! From a configuration to a server that is ready, or to a clear reason why not.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{
    Addresses, Certificates, Listeners, Server,
    admin_files::{ServerFile, ServerInfo, admin_token},
    restoration::Restoration,
    settings::Settings,
};
use crate::{
    config::{Config, Current, ExecutorEntry, Mistake, SecretError, ServerConfig, TlsFiles},
    disk::Room,
    executor::{Executor, Registry, model_mistakes, never_fitting, never_heard},
    http::{
        listener::{self, BindError},
        tls::{Tls, TlsError},
    },
    mirror::MirrorKey,
    process,
    scheduler::{Context, Engine, Mirroring},
    store::{OpenError, Store, StoreError},
    transfer::files::Cache,
};

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An executor's table is wrong.
    #[error(transparent)]
    Executors(#[from] ExecutorMistakes),
    /// A webhook secret cannot be read.
    #[error("workspace {workspace}: {source}")]
    Secret {
        /// The workspace.
        workspace: String,
        /// Why.
        source: SecretError,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot be written.
    #[error(transparent)]
    Write(#[from] StoreError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate cannot be used.
    #[error("server.tls or server.jobs_tls: {0}")]
    Tls(#[from] TlsError),
    /// A folder or a file in it cannot be written.
    #[error("cannot write {path}: {source}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Mistakes in the tables of executors, or in those of models for them, found by the executors themselves.
#[derive(Debug, thiserror::Error)]
#[error("the executors' tables have mistakes")]
pub struct ExecutorMistakes(pub Vec<Mistake>);

impl Server {
    /// Opens the store, builds the executors, reads the secrets and takes the addresses. Nothing is
    /// served and no job is touched before [`Server::run`].
    ///
    /// # Errors
    /// [`StartError`]; nothing is left behind.
    pub async fn start(
        config: Config,
        executors: Vec<ExecutorEntry>,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let engines = engines(&config, executors, registry.clone()).await?;
        let settings = Settings::new(config.clone())?;
        let jobs_tls = config
            .server
            .jobs
            .as_ref()
            .and_then(|jobs| jobs.tls.clone());
        let tls = Certificates {
            labelbox: load(config.server.tls.clone()).await?,
            jobs: load(jobs_tls).await?,
        };
        let listeners = listen(&config).await?;
        let state_dir = config.server.state_dir.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&state_dir));
        let store = store.await.map_err(|_| StoreError::Panicked)??;
        let folder = |path: PathBuf| move |source| StartError::Folder { path, source };
        let jobs_dir = config.server.jobs_dir.clone();
        std::fs::create_dir_all(&jobs_dir).map_err(folder(jobs_dir.clone()))?;
        rustix::fs::access(&jobs_dir, rustix::fs::Access::WRITE_OK)
            .map_err(|error| folder(jobs_dir.clone())(error.into()))?;
        let token = admin_token(&config.server.state_dir)
            .map_err(folder(config.server.state_dir.clone()))?;
        let info = ServerInfo::of_this_process(listeners.addresses);
        let server_file = ServerFile::write(&config.server.state_dir, &info)
            .map_err(folder(config.server.state_dir.clone()))?;
        forget_old_clocks(&store, &config).await?;
        store.doubt_reports_under_way(Timestamp::now()).await?;
        let restoration = Restoration::begin(&store, &jobs_dir).await?;
        let (state_dir, min_free) = (&config.server.state_dir, config.server.min_free);
        let room = Current::new(Room::look(state_dir, &jobs_dir, min_free));
        let mirroring = mirroring(&config, &listeners.addresses)
            .map_err(folder(config.server.state_dir.clone()))?;
        let scheduling = Context {
            store: store.clone(),
            room,
            jobs_dir,
            mirroring,
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("trainhook")),
            boot_id: process::boot_id(),
            machine_id: process::machine_id(),
            config: settings.config.clone(),
            secrets: settings.secrets.clone(),
        };
        Ok(Self {
            settings,
            store,
            engines,
            scheduling,
            listeners,
            tls,
            token,
            prune: Arc::default(),
            cache: media_cache(&config.server),
            restoration,
            exports: Arc::default(),
            _server_file: server_file,
        })
    }
}

async fn load(files: Option<TlsFiles>) -> Result<Option<Tls>, StartError> {
    let Some(files) = files else { return Ok(None) };
    let loaded = tokio::task::spawn_blocking(move || Tls::load(files)).await;
    Ok(Some(loaded.map_err(|_| StoreError::Panicked)??))
}

fn media_cache(server: &ServerConfig) -> Cache {
    Cache::new(
        &server.media_cache,
        server.media_cache_size,
        server.min_free,
    )
}

/// The engines of the file; what is doubtful in it is told in the log.
async fn engines(
    config: &Config,
    executors: Vec<ExecutorEntry>,
    registry: Registry,
) -> Result<BTreeMap<String, Engine>, StartError> {
    // An executor may ask its engine while it is built.
    let built = tokio::task::spawn_blocking(move || build_engines(executors, &registry));
    let engines = built.await.map_err(|_| StoreError::Panicked)??;
    let executor =
        |(name, engine): (&String, &Engine)| (name.clone(), Arc::clone(&engine.executor));
    let executors: BTreeMap<String, Arc<dyn Executor>> = engines.iter().map(executor).collect();
    let mut mistakes = model_mistakes(config.model_tables.clone(), &executors);
    mistakes.append(&mut never_heard(config, &executors));
    if !mistakes.is_empty() {
        return Err(ExecutorMistakes(mistakes).into());
    }
    let weak = tokio::task::spawn_blocking({
        let config = config.clone();
        move || config.warnings()
    });
    let mut warnings = weak.await.map_err(|_| StoreError::Panicked)?;
    warnings.extend(never_fitting(&config.models, &executors));
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(engines)
}

/// Builds every executor of the file.
///
/// # Errors
/// All mistakes of all their tables at once.
pub fn build_engines(
    mut entries: Vec<ExecutorEntry>,
    registry: &Registry,
) -> Result<BTreeMap<String, Engine>, ExecutorMistakes> {
    let bells: BTreeMap<String, Arc<Notify>> = entries
        .iter()
        .map(|entry| (entry.name.clone(), Arc::default()))
        .collect();
    let bell = |name: &str| bells.get(name).cloned().unwrap_or_default();
    let built = registry
        .build(&mut entries, bell)
        .map_err(ExecutorMistakes)?;
    let engines = entries.iter().filter_map(|entry| {
        let engine = Engine {
            name: entry.name.clone(),
            kind: entry.kind.clone(),
            executor: Arc::clone(built.get(&entry.name)?),
            max_running: entry.max_running,
            lost_after: entry.lost_after,
            unclaimed_after: entry.unclaimed_after,
            poll_interval: entry.poll_interval,
            answering: Arc::default(),
            wake: bell(&entry.name),
        };
        Some((entry.name.clone(), engine))
    });
    Ok(engines.collect())
}

/// What attempts elsewhere are told; none where nobody listens for them.
fn mirroring(config: &Config, addresses: &Addresses) -> std::io::Result<Option<Mirroring>> {
    let (Some(jobs), Some(address)) = (&config.server.jobs, addresses.jobs) else {
        return Ok(None);
    };
    Ok(Some(Mirroring {
        url: jobs.url_at(address),
        key: MirrorKey::load(&config.server.state_dir)?,
    }))
}

async fn listen(config: &Config) -> Result<Listeners, StartError> {
    let labelbox = listener::bind(config.server.listen).await?;
    let admin = listener::bind(config.server.admin_listen).await?;
    let jobs = match &config.server.jobs {
        Some(jobs) => Some((listener::bind(jobs.listen).await?, jobs.listen)),
        None => None,
    };
    let address =
        |listener: &tokio::net::TcpListener, asked| listener.local_addr().unwrap_or(asked);
    let addresses = Addresses {
        labelbox: address(&labelbox, config.server.listen),
        admin: address(&admin, config.server.admin_listen),
        jobs: jobs
            .as_ref()
            .map(|(listener, asked)| address(listener, *asked)),
    };
    Ok(Listeners {
        labelbox,
        admin,
        jobs: jobs.map(|(listener, _)| listener),
        addresses,
    })
}

/// After a start nothing waits for what another clock has said.
async fn forget_old_clocks(store: &Store, config: &Config) -> Result<(), StoreError> {
    let now = Timestamp::now();
    store.make_all_due(now).await?;
    store
        .bound_report_waits(now + config.reporting.parked_retry)
        .await
}
