//! `models.toml`, understood: every mistake reported at once, secrets only by reference.

mod access;
mod current;
mod data;
mod params;
mod paths;
mod reader;
mod retention;
mod secret;
mod spelling;
mod supervisor;
mod table;
mod units;
mod warnings;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::job::Cause;

pub use access::Access;
pub use current::Current;
pub use data::{Export, Format, Parts, Predictions, Preflight, Tolerance};
pub use params::{ParamLimits, ParamValue, Params, Settled};
pub(crate) use paths::path_from;
pub use reader::{Parsed, ReadError, parse, read};
pub use retention::{Part, RetentionConfig};
pub use secret::{Secret, SecretError, SecretRef};
pub use supervisor::{SendsProgram, Supervisor};
pub use table::{Mistake, Table};
pub use units::{format_duration, format_size, parse_duration, parse_size};

/// An attempt whose engine has not answered for this long is lost, unless the executor says otherwise.
const DEFAULT_LOST_AFTER: Duration = Duration::from_secs(24 * 3600);

/// As long as a command may be unclaimed on an engine that runs it before people are told.
const DEFAULT_UNCLAIMED_AFTER: Duration = Duration::from_secs(120);

/// Everything `models.toml` says, with defaults filled in and paths made absolute.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[reporting]`.
    pub reporting: ReportingConfig,
    /// `[retention]`.
    pub retention: RetentionConfig,
    /// `[workspaces.…]`, in the order of the file.
    pub workspaces: Vec<Workspace>,
    /// `[executors.…]`, in the order of the file.
    pub executors: Vec<ExecutorEntry>,
    /// `[models.…]`, in the order of the file.
    pub models: Vec<ModelEntry>,
    /// Where each of them stands in the file, by its slug.
    pub model_lines: BTreeMap<String, usize>,
    /// What models say to kinds of executors, for those to judge.
    pub model_tables: Vec<ModelTable>,
    /// The lines of the models' `workdir`, by slug, where they say one.
    pub workdir_lines: BTreeMap<String, usize>,
}

/// `[models.<slug>.<kind>]`: what a model says to one kind of executor, with its lines.
#[derive(Debug, Clone)]
pub struct ModelTable {
    /// The name of an executor of that kind, which judges it: the model's own, if that is one.
    pub executor: String,
    /// The table.
    pub table: Table,
}

/// `[server]`: addresses, folders, limits.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where Labelbox reaches us. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Where people and the command line reach us. Default `127.0.0.1:8081`.
    pub admin_listen: SocketAddr,
    /// Who may send requests there.
    pub access: Access,
    /// Set if that listener speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// Where supervisors on other machines reach us; none if there are none.
    pub jobs: Option<JobsConfig>,
    /// The database; a local disk. Default `state`.
    pub state_dir: PathBuf,
    /// The job directories; may be a shared file system. Default `jobs`.
    pub jobs_dir: PathBuf,
    /// With less room on a disk that it writes to, the server starts nothing new, in bytes. Default 200 MB.
    pub min_free: u64,
    /// The longest body taken from Labelbox, in bytes. Default 1 MiB.
    pub max_body: u64,
    /// A request's headers must be complete within this. Default 10 s.
    pub header_timeout: Duration,
    /// A request's body must be complete within this. Default 30 s.
    pub body_timeout: Duration,
    /// Connections served at once on one listener; more wait. Default 512.
    pub max_connections: u32,
    /// The same body within this time of its acceptance is a redelivery. Default 10 s.
    pub redelivery_window: Duration,
    /// How long answers may take to finish after SIGTERM. Default 5 s.
    pub shutdown_grace: Duration,
    /// Networks that data rows' files may come from although they are not public. None by default.
    pub media_allow: Vec<IpNet>,
    /// The proxy through which those files are fetched.
    pub media_proxy: Option<String>,
    /// Where fetched files are kept for the next job. Default `.media` below `jobs_dir`.
    pub media_cache: PathBuf,
    /// So much is kept there, in bytes; nothing if 0. Default 10 GB.
    pub media_cache_size: u64,
    /// Where people can see a job; a link `<dashboard_url>/jobs/<id>` goes into failure messages.
    pub dashboard_url: Option<String>,
}

/// The listener for supervisors that share no files with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsConfig {
    /// `jobs_listen`.
    pub listen: SocketAddr,
    /// `jobs_url`: how nodes reach it; without a slash at its end. Made of the address if it is not given.
    pub url: Option<String>,
    /// `[server.jobs_tls]`: set if it speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// What an attempt may leave in `out/`, in bytes. Default 20 GB.
    pub max_output: u64,
    /// What an attempt may tell in events, in bytes. Default 64 MiB.
    pub max_events: u64,
}

impl JobsConfig {
    /// How nodes reach a server that listens at `address`.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = self.url.clone();
        url.unwrap_or_else(|| format!("{scheme}://{address}"))
    }
}

/// `[server.tls]`: files in PEM, read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its root, in that order.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[reporting]`: how Labelbox is kept truthful.
#[derive(Debug, Clone)]
pub struct ReportingConfig {
    /// Progress is told at most this often. Default 30 s.
    pub interval: Duration,
    /// One call to Labelbox may take this long. Default 60 s.
    pub timeout: Duration,
    /// Parked reports are tried again this often. Default 5 min.
    pub parked_retry: Duration,
    /// A final that may have been overtaken by a late update is read back after this. Default 2 min.
    pub read_back_after: Duration,
}

/// `[workspaces.<name>]`: one Labelbox organisation as we know it.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The table's key.
    pub name: String,
    /// The path prefix we are registered under; `/` by default, never ending in a slash otherwise.
    pub path: String,
    /// Any of them may sign: rotation without downtime.
    pub webhook_secrets: Vec<SecretRef>,
    /// Requests need no signature; only if asked for by name, and then there are no secrets.
    pub unsigned: bool,
    /// The key for Labelbox's API.
    pub api_key: SecretRef,
    /// Labelbox's GraphQL address. Default `https://api.labelbox.com/graphql`.
    pub endpoint: String,
    /// The slugs offered there; all models when none are named.
    pub models: Option<Vec<String>>,
    /// Calls to its API at most; Labelbox counts those of people, too. Default 1,200.
    pub requests_per_minute: u32,
}

/// `[executors.<name>]`: a place to run. The kind decides what else the table may hold.
#[derive(Debug, Clone)]
pub struct ExecutorEntry {
    /// The table's key.
    pub name: String,
    /// Which executor builds it: `local`, or one that the program registered.
    pub kind: String,
    /// Jobs of ours it holds at once.
    pub max_running: u32,
    /// Jobs whose data is fetched before there is a slot for them. Default 2.
    pub export_ahead: u32,
    /// An attempt whose engine has not answered for this long is lost. Default 24 h.
    pub lost_after: Duration,
    /// Of an attempt that its engine runs and nobody has claimed for this long people are told. Default 2 min.
    pub unclaimed_after: Duration,
    /// How often running attempts are looked at; the executor's own choice if none.
    pub poll_interval: Option<Duration>,
    /// The folder of the file, from which relative paths in the table start.
    pub folder: PathBuf,
    /// The server's own folder, which no job may see.
    pub state_dir: PathBuf,
    /// What is left of the table, for the executor's own `build`.
    pub table: Table,
}

impl ExecutorEntry {
    /// Whether both tables say the same, wherever in the file they say it.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let settings = |entry: &Self| {
            let table = entry.table.clone().plain();
            (
                entry.kind.clone(),
                entry.max_running,
                entry.export_ahead,
                entry.lost_after,
                entry.unclaimed_after,
                entry.poll_interval,
                table,
            )
        };
        self.name == other.name && settings(self) == settings(other)
    }
}

/// `[models.<slug>]`: a model type. Kept with each job as it stood at acceptance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// The table's key: `[a-z0-9-_]`.
    pub slug: String,
    /// What the Labelbox user sees; the slug if not given.
    pub title: String,
    /// The name of the executor.
    pub executor: String,
    /// Program and arguments; may hold `{params.x}`, `{data_dir}`, `{out_dir}`, `{checkpoint_dir}`.
    pub command: Vec<String>,
    /// Where the command runs; absolute.
    pub workdir: PathBuf,
    /// Files and folders of the workdir that are copied at acceptance; then the command runs among the copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// Set for the command.
    #[serde(default)]
    pub env: BTreeMap<String, EnvValue>,
    /// Names of our own environment that the command sees, too.
    #[serde(default)]
    pub env_pass: Vec<String>,
    /// Hyper-parameters and their defaults, in the order of the file.
    #[serde(default)]
    pub params: Params,
    /// What one attempt needs.
    #[serde(default)]
    pub resources: Resources,
    /// A command that runs longer is stopped; none if written `"none"`. Default 24 h.
    pub run_timeout_ms: Option<u64>,
    /// Waiting longer fails the job; none if written `"none"`. Default 7 days.
    pub queue_timeout_ms: Option<u64>,
    /// Between SIGTERM and SIGKILL. Default 30 s.
    pub cancel_grace_ms: u64,
    /// When an attempt that failed for infrastructure may be repeated.
    pub retry: Retry,
    /// Bytes of log kept, head and tail. Default 64 MiB.
    pub log_limit: u64,
    /// Jobs of this model that hold a slot at once; unlimited when none.
    pub max_running: Option<u32>,
    /// Clicks are refused while this many jobs of this model wait; none if written `"none"`. Default 100.
    #[serde(default)]
    pub max_queued: Option<u32>,
    /// Clicks are refused when this many jobs of this model were accepted within 24 hours; none if written
    /// `"none"`. Default 100.
    #[serde(default)]
    pub max_starts_per_day: Option<u32>,
    /// What a parameter may be set to, where the file bounds it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub param_limits: BTreeMap<String, ParamLimits>,
    /// What of the run's data is exported for the command; none if it needs no data.
    pub export: Option<Export>,
    /// What the export is written as, beside its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<Format>,
    /// What the data must hold before anything is submitted.
    #[serde(default)]
    pub preflight: Preflight,
    /// Whether the command leaves predictions.
    #[serde(default)]
    pub predictions: Predictions,
    /// How many of the predictions may be refused before the job fails. Default none.
    #[serde(default)]
    pub max_row_errors: Tolerance,
    /// Predictions that go to Labelbox in one import. Default 20,000.
    #[serde(default = "default_import_lines")]
    pub import_lines: u32,
    /// The time that predictions may take to be imported; none if written `"none"`. Default 6 h.
    #[serde(default)]
    pub upload_timeout_ms: Option<u64>,
    /// What it says to kinds of executors, by kind: `[models.<slug>.slurm]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
}

/// Predictions that go to Labelbox in one import.
pub(crate) const IMPORT_LINES: u32 = 20_000;

const fn default_import_lines() -> u32 {
    IMPORT_LINES
}

/// The value of an environment variable: text, or a secret kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvValue {
    /// As it stands in the file.
    Text(String),
    /// Read at each launch; never stored.
    Secret(SecretRef),
}

/// `resources = { gpus = 1, cpus = 4, memory = "16GB" }`: what one attempt needs; engine-neutral.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Whole GPUs, the job's own.
    #[serde(default)]
    pub gpus: u32,
    /// Processor cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// `retry = { max = 2, on = ["preempted", "infra"], backoff = "1m" }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// New attempts after the first. Default 2.
    pub max: u32,
    /// Causes that may be retried; infrastructure ones only. Default all four.
    pub on: Vec<Cause>,
    /// Wait before the first new attempt, doubled for each further one, at most 30 min. Default 30 s.
    pub backoff_ms: u64,
}

impl ModelEntry {
    /// The secrets among its variables, read now; they are never stored.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn secrets(&self) -> Result<BTreeMap<String, Secret>, SecretError> {
        let references = self.env.iter().filter_map(|(name, value)| match value {
            EnvValue::Secret(reference) => Some((name, reference)),
            EnvValue::Text(_) => None,
        });
        references
            .map(|(name, reference)| Ok((name.clone(), reference.read()?)))
            .collect()
    }

    /// What the server's environment holds now of `env_pass`, as far as `env` says nothing else.
    #[must_use]
    pub fn passed(&self) -> BTreeMap<String, Secret> {
        let names = self.env_pass.iter();
        let names = names.filter(|name| !self.env.contains_key(*name));
        names
            .filter_map(|name| Some((name.clone(), Secret::new(std::env::var(name).ok()?))))
            .collect()
    }

    /// Between SIGTERM and SIGKILL.
    #[must_use]
    pub fn cancel_grace(&self) -> Duration {
        Duration::from_millis(self.cancel_grace_ms)
    }

    /// A command that runs longer is stopped.
    #[must_use]
    pub fn run_timeout(&self) -> Option<Duration> {
        self.run_timeout_ms.map(Duration::from_millis)
    }

    /// An import of predictions that takes longer fails the job.
    #[must_use]
    pub fn upload_timeout(&self) -> Option<Duration> {
        self.upload_timeout_ms.map(Duration::from_millis)
    }

    /// Waiting longer fails the job.
    #[must_use]
    pub fn queue_timeout(&self) -> Option<Duration> {
        self.queue_timeout_ms.map(Duration::from_millis)
    }
}
