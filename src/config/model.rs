//! `[models.…]`: the model types that Labelbox lists, and what an attempt of each needs.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Export, Format, ParamLimits, Params, Predictions, Preflight, Secret, SecretError, SecretRef,
    Table, Tolerance,
};
use crate::job::Cause;

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

/// Predictions that go to Labelbox in one import.
pub(crate) const IMPORT_LINES: u32 = 20_000;

const fn default_import_lines() -> u32 {
    IMPORT_LINES
}

/// `[models.<slug>.<kind>]`: what a model says to one kind of executor, with its lines.
#[derive(Debug, Clone)]
pub struct ModelTable {
    /// The name of an executor of that kind, which judges it: the model's own, if that is one.
    pub executor: String,
    /// The table.
    pub table: Table,
}
