//! What `models.toml` says to Ray: an executor's table, and a model's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::Url;
use serde_json::{Map, Value};

use crate::{
    config::{SecretRef, SendsProgram, Supervisor, Table},
    executor::{merge::merge, own_variable},
};

/// The variable in which Ray's own command line looks for the address.
const ADDRESS_VARIABLE: &str = "RAY_API_SERVER_ADDRESS";

/// A call may take this long if the table does not say.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time that a table may give: a submit is up to three calls and an upload of 25 s, and must fit into the
/// minute that the server waits.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// Ray is asked no more often, whatever happens, if the table does not say.
const POLL_PAUSE: Duration = Duration::from_secs(1);

/// Names in `metadata` that are ours.
const OUR_METADATA: &str = "trainhook_";

/// `[executors.<name>]` of kind `ray`.
#[derive(Debug)]
pub(super) struct Settings {
    /// What precedes `/api/jobs/`.
    pub(super) address: String,
    pub(super) token: Option<SecretRef>,
    pub(super) call_timeout: Duration,
    pub(super) poll_pause: Duration,
    pub(super) supervisor: Supervisor,
    /// The program that is sent, if it is not the one that runs.
    pub(super) program: Option<PathBuf>,
    pub(super) shares_files: bool,
    pub(super) work_dir: Option<PathBuf>,
    /// Whether jobs stay in Ray's list when they are over.
    pub(super) keeps_ended: bool,
    pub(super) options: Options,
}

/// What executors and models may both say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Options {
    pub(super) runtime_env: Map<String, Value>,
    pub(super) entrypoint_resources: BTreeMap<String, f64>,
    pub(super) label_selector: BTreeMap<String, String>,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Settings {
    /// Takes its keys out of the table, and notes what is wrong with them.
    pub(super) fn take(table: &mut Table, folder: &Path) -> Option<Self> {
        let call_timeout = table.duration("call_timeout").unwrap_or(CALL_TIMEOUT);
        if call_timeout.is_zero() || call_timeout > LONGEST_CALL {
            table.mistake("call_timeout", "must be at most \"10s\", and not zero");
        }
        let shares_files = table.boolean("shared_files").unwrap_or(false);
        let address = address(table);
        Some(Self {
            token: table.secret("token", folder),
            call_timeout,
            poll_pause: table.duration("poll_pause").unwrap_or(POLL_PAUSE),
            supervisor: table.supervisor(Supervisor::Sent, SendsProgram::Yes),
            program: table.string("program").map(|path| folder.join(path)),
            shares_files,
            work_dir: work_dir(table, shares_files),
            keeps_ended: table.boolean("keep_ended").unwrap_or(false),
            options: Options::take(table),
            address: address?,
        })
    }
}

fn address(table: &mut Table) -> Option<String> {
    let of_environment = || std::env::var(ADDRESS_VARIABLE).ok();
    let Some(text) = table.string("address").or_else(of_environment) else {
        // One of another form has been noted.
        if !table.was_given("address") {
            let text = format!(
                "is missing: it must be where the head's dashboard is, such as \"http://head:8265\"; {ADDRESS_VARIABLE} is not set either"
            );
            table.mistake("address", text);
        }
        return None;
    };
    let plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match Url::parse(&text) {
        Ok(url) if plain(&url) => Some(url.as_str().trim_end_matches('/').to_owned()),
        _ => {
            let text = "must be where the head's dashboard is, such as \"http://head:8265\"; a token stands in token";
            table.mistake("address", text);
            None
        }
    }
}

fn work_dir(table: &mut Table, shares_files: bool) -> Option<PathBuf> {
    let work_dir = table.string("work_dir").map(PathBuf::from);
    let is_wrong = |folder: &PathBuf| shares_files || !folder.is_absolute();
    if work_dir.as_ref().is_some_and(is_wrong) {
        let text = "must be an absolute path, and is of use only with shared_files = false";
        table.mistake("work_dir", text);
    }
    work_dir
}

impl Options {
    /// Takes its keys out of a table, and notes what is wrong with them.
    pub(super) fn take(table: &mut Table) -> Self {
        let metadata = texts(table, "metadata");
        if metadata.keys().any(|name| name.starts_with(OUR_METADATA)) {
            table.mistake(
                "metadata",
                format!("names that begin with {OUR_METADATA} are trainhook's own"),
            );
        }
        Self {
            runtime_env: runtime_env(table),
            entrypoint_resources: amounts(table),
            label_selector: texts(table, "label_selector"),
            metadata,
        }
    }

    /// What a model says beats what its executor says; tables of both are joined, lists appended.
    pub(super) fn under(&self, model: Self) -> Self {
        let mut whole = self.clone();
        merge(&mut whole.runtime_env, model.runtime_env);
        whole
            .entrypoint_resources
            .extend(model.entrypoint_resources);
        whole.label_selector.extend(model.label_selector);
        whole.metadata.extend(model.metadata);
        whole
    }
}

fn runtime_env(table: &mut Table) -> Map<String, Value> {
    let Some(value) = table.value("runtime_env") else {
        return Map::new();
    };
    let Ok(Value::Object(runtime_env)) = serde_json::to_value(value) else {
        table.mistake(
            "runtime_env",
            "must be a table, such as { pip = [\"torch\"] }",
        );
        return Map::new();
    };
    if let Some(text) = wrong_in(&runtime_env) {
        table.mistake("runtime_env", text);
    }
    runtime_env
}

/// What Ray would find out only when the job is to start, or never.
fn wrong_in(runtime_env: &Map<String, Value>) -> Option<&'static str> {
    let variables = runtime_env.get("env_vars");
    let are_texts = |variables: &Value| {
        let map = variables.as_object();
        map.is_some_and(|map| map.values().all(Value::is_string))
    };
    if !variables.is_none_or(are_texts) {
        return Some("env_vars must be a table of texts: Ray starts no job with any other value");
    }
    let names = variables.and_then(Value::as_object);
    let mut names = names.into_iter().flat_map(Map::keys);
    if names.any(|name| own_variable(name).is_some()) {
        return Some("env_vars that begin with TRAINHOOK_ are trainhook's own, and cannot be set");
    }
    let is_address = |value: &Value| value.as_str().is_some_and(|text| text.contains("://"));
    let packages = match runtime_env.get("py_modules") {
        None => Vec::new(),
        Some(Value::Array(modules)) => modules.iter().collect(),
        Some(_) => return Some("py_modules must be a list"),
    };
    let all = packages.into_iter().chain(runtime_env.get("working_dir"));
    if !all.into_iter().all(is_address) {
        return Some(
            "working_dir and py_modules must be addresses of packages, such as \"s3://bucket/code.zip\": folders of \
             this machine reach a node by the model's files",
        );
    }
    None
}

fn texts(table: &mut Table, key: &str) -> BTreeMap<String, String> {
    let Some(mut inner) = table.table(key) else {
        return BTreeMap::new();
    };
    let names: Vec<String> = inner.keys().map(str::to_owned).collect();
    let named = |name: String| Some((name.clone(), inner.string(&name)?));
    let texts = names.into_iter().filter_map(named).collect();
    table.adopt(inner);
    texts
}

fn amounts(table: &mut Table) -> BTreeMap<String, f64> {
    let Some(mut inner) = table.table("entrypoint_resources") else {
        return BTreeMap::new();
    };
    let names: Vec<String> = inner.keys().map(str::to_owned).collect();
    let mut amounts = BTreeMap::new();
    for name in names {
        let amount = inner.value(&name).and_then(|value| {
            value
                .as_float()
                .or_else(|| value.as_integer().map(|whole| whole as f64))
        });
        match amount.filter(|amount| amount.is_finite() && *amount > 0.0) {
            _ if matches!(&*name, "CPU" | "GPU" | "memory") => {
                let text =
                    "is asked for by the model's resources = { cpus = …, gpus = …, memory = … }";
                inner.mistake(&name, text);
            }
            Some(amount) => drop(amounts.insert(name, amount)),
            None => inner.mistake(&name, "must be a number above 0"),
        }
    }
    table.adopt(inner);
    amounts
}
