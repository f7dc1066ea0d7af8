//! `models.toml`, understood: every mistake reported at once, secrets only by reference.

mod access;
mod current;
mod data;
mod executor;
mod labelbox;
mod model;
mod params;
mod paths;
mod reader;
mod retention;
mod secret;
mod server;
mod spelling;
mod supervisor;
mod table;
mod units;
mod warnings;

use std::{collections::BTreeMap, path::PathBuf};

pub use access::Access;
pub use current::Current;
pub use data::{Export, Format, Parts, Predictions, Preflight, Tolerance};
pub use executor::ExecutorEntry;
pub use labelbox::{ReportingConfig, Workspace};
pub(crate) use model::IMPORT_LINES;
pub use model::{EnvValue, ModelEntry, ModelTable, Resources, Retry};
pub use params::{ParamLimits, ParamValue, Params, Settled};
pub(crate) use paths::path_from;
pub use reader::{Parsed, ReadError, parse, read};
pub use retention::{Part, RetentionConfig};
pub use secret::{Secret, SecretError, SecretRef};
pub use server::{JobsConfig, ServerConfig, TlsFiles};
pub use supervisor::{SendsProgram, Supervisor};
pub use table::{Mistake, Table};
pub use units::{format_duration, format_size, parse_duration, parse_size};

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
