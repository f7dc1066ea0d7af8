//! From a launch to the body of `POST /api/jobs/`.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value, json};

use super::{
    jobs::SERVER_KEY,
    settings::{Options, Settings},
};
use crate::{
    config::Table,
    executor::{Launch, SubmitError, shell},
};

/// The file with the launch's variables, in the attempt's folder, where that is shared.
pub(super) const ENVIRONMENT: &str = ".ray-environment";

/// The metadata that says which attempt it is, for people.
const LAUNCH_KEY: &str = "trainhook_launch";

/// The seconds between Ray's SIGTERM, when somebody stops a job, and its SIGKILL (`JobSupervisor` reads it from the
/// job's own variables). Ray's default of 3 leaves no time for a checkpoint.
const STOP_WAIT: &str = "RAY_JOB_STOP_WAIT_TIME_S";

/// What the supervisor has beyond the command's own grace before Ray kills it: time to end what is left and to have its
/// record delivered.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(15);

/// All that is handed to Ray.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) body: Value,
    /// Where the launch's variables go, if not into the body.
    pub(super) variables: Option<PathBuf>,
    /// What the job may have to wait for, for people.
    pub(super) asked_for: Option<String>,
    /// The same by Ray's names of resources.
    pub(super) needs: BTreeMap<String, f64>,
}

/// The program that Ray brings to the node: its file's name in the package, and the package's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) file: String,
    pub(super) address: String,
}

impl Settings {
    /// What a launch becomes.
    pub(super) fn submission(
        &self,
        launch: &Launch,
        sent: Option<&Sent>,
    ) -> Result<Submission, SubmitError> {
        let options = self.options_of(launch)?;
        let file = launch.attempt_dir.join(ENVIRONMENT);
        let has_secrets = self.shares_files && !launch.env.is_empty();
        let variables = has_secrets.then_some(file);
        let mut metadata = options.metadata.clone();
        metadata.insert(SERVER_KEY.to_owned(), launch.server_id.clone());
        metadata.insert(LAUNCH_KEY.to_owned(), launch.id.to_string());
        let mut body = Map::from_iter([
            ("submission_id".to_owned(), json!(launch.id)),
            (
                "entrypoint".to_owned(),
                json!(self.entrypoint(launch, sent, variables.as_deref())),
            ),
            (
                "runtime_env".to_owned(),
                self.runtime_env(launch, sent, &options),
            ),
            ("metadata".to_owned(), json!(metadata)),
        ]);
        body.extend(resources(launch, &options));
        Ok(Submission {
            body: Value::Object(body),
            variables,
            asked_for: asked_for(launch, &options),
            needs: needs(launch, &options),
        })
    }

    fn options_of(&self, launch: &Launch) -> Result<Options, SubmitError> {
        let mut table = Table::of_json(&launch.settings);
        let options = self.options.under(Options::take(&mut table));
        match table.finish().first() {
            None => Ok(options),
            Some(mistake) => Err(SubmitError::Rejected(format!(
                "the model's table for Ray: {}: {}",
                mistake.key, mistake.text
            ))),
        }
    }

    /// Ray gives it to `/bin/sh -c`, and shows it. The shell stays, so that what ends its group does not end the
    /// supervisor, which stops the command in its own way when Ray's process beside it is gone.
    fn entrypoint(&self, launch: &Launch, sent: Option<&Sent>, variables: Option<&Path>) -> String {
        let mut words = launch.argv.clone();
        if let Some(work_dir) = &self.work_dir {
            let work_dir = work_dir.to_string_lossy().into_owned();
            words.extend(["--work-dir".to_owned(), work_dir]);
        }
        let quoted: Vec<String> = words.iter().map(|word| shell::quote(word)).collect();
        let (program, arguments) = match quoted.split_first() {
            Some((program, arguments)) => (program.as_str(), arguments.join(" ")),
            None => ("false", String::new()),
        };
        let variables = variables.map_or_else(String::new, shell::take_variables);
        let run = |program: &str| format!("{program} {arguments} --keeper \"$PPID\"; exit $?");
        match sent {
            None => format!("{variables}{}", run(program)),
            Some(Sent { file, .. }) => {
                let file = format!("\"$folder\"/{}", shell::quote(file));
                format!(
                    "{variables}set -f; IFS=:\nfor folder in $PYTHONPATH; do\n\
                     if [ -x {file} ]; then {}; fi\ndone\n\
                     echo 'Ray has not unpacked the package with trainhook' >&2; exit 127",
                    run(&file)
                )
            }
        }
    }

    fn runtime_env(&self, launch: &Launch, sent: Option<&Sent>, options: &Options) -> Value {
        let mut runtime_env = options.runtime_env.clone();
        let variables = runtime_env.entry("env_vars").or_insert_with(|| json!({}));
        if let Value::Object(variables) = variables {
            let wait = (launch.cancel_grace + SUPERVISOR_GRACE).as_secs();
            variables
                .entry(STOP_WAIT)
                .or_insert_with(|| json!(wait.to_string()));
            if !self.shares_files {
                let env = launch.env.iter();
                variables.extend(env.map(|(name, value)| (name.clone(), json!(value.expose()))));
            }
        }
        if let Some(sent) = sent {
            let modules = runtime_env.entry("py_modules").or_insert_with(|| json!([]));
            if let Value::Array(modules) = modules {
                modules.push(json!(sent.address));
            }
        }
        Value::Object(runtime_env)
    }
}

fn resources(launch: &Launch, options: &Options) -> Map<String, Value> {
    let asked = &launch.resources;
    let mut body = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        drop(value.map(|value| body.insert(key.to_owned(), value)));
    };
    say("entrypoint_num_cpus", asked.cpus.map(|cpus| json!(cpus)));
    say(
        "entrypoint_num_gpus",
        (asked.gpus > 0).then(|| json!(asked.gpus)),
    );
    say("entrypoint_memory", asked.memory.map(|bytes| json!(bytes)));
    let custom = &options.entrypoint_resources;
    say(
        "entrypoint_resources",
        (!custom.is_empty()).then(|| json!(custom)),
    );
    let labels = &options.label_selector;
    say(
        "entrypoint_label_selector",
        (!labels.is_empty()).then(|| json!(labels)),
    );
    body
}

fn needs(launch: &Launch, options: &Options) -> BTreeMap<String, f64> {
    let asked = &launch.resources;
    let own = [
        ("CPU", asked.cpus.map(f64::from)),
        ("GPU", Some(f64::from(asked.gpus))),
        ("memory", asked.memory.map(|bytes| bytes as f64)),
    ];
    let own = own.into_iter().filter_map(|(name, amount)| {
        let amount = amount.filter(|amount| *amount > 0.0)?;
        Some((name.to_owned(), amount))
    });
    own.chain(options.entrypoint_resources.clone()).collect()
}

/// Ray does not say what it waits for; we know what was asked.
fn asked_for(launch: &Launch, options: &Options) -> Option<String> {
    let asked = &launch.resources;
    let counted = |count: u32, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let memory = asked.memory.map(|bytes| {
        let mut text = String::new();
        let _infallible = write!(text, "{:.1} GB of memory", bytes as f64 / 1e9);
        text
    });
    let custom = options.entrypoint_resources.iter();
    let custom = custom.map(|(name, amount)| format!("{amount} {}", name.escape_debug()));
    let all = [
        counted(asked.gpus, "GPU"),
        counted(asked.cpus.unwrap_or(0), "CPU"),
        memory,
    ];
    let all: Vec<String> = all.into_iter().flatten().chain(custom).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
