//! A launch as a server of these settings would make it, to be judged or shown and never started.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;

use super::{Executor, Launch};
use crate::{
    config::{Config, EnvValue, ModelEntry, Secret},
    job::{JobId, LaunchId},
    job_dir::JobDir,
    mirror::MirrorAccess,
};

/// What stands for the server's own id, which its store keeps; engines take it for the value of a label.
const SERVER: &str = "the-servers-id";

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// The launch of a model's job, whose id is made up, without its secrets.
#[must_use]
pub fn trial_launch(config: &Config, entry: &ModelEntry, executor: &dyn Executor) -> Launch {
    let id = LaunchId {
        job: JobId::new(Timestamp::now()),
        attempt: 1,
    };
    let own = || std::env::current_exe().unwrap_or_else(|_| PathBuf::from("trainhook"));
    let program = executor.program().unwrap_or_else(own);
    let attempt_dir = JobDir::new(&config.server.jobs_dir, id.job).attempt(id.attempt);
    let attempt_dir = attempt_dir.path().to_owned();
    let shares_files = executor.shares_files();
    let env = variables(entry, shares_files);
    let mut kinds = config.executors.iter();
    let kind = kinds.find(|one| one.name == entry.executor);
    let kind = kind.map_or("", |one| one.kind.as_str());
    let launch = Launch {
        server_id: SERVER.to_owned(),
        ..Launch::new(id, (entry, kind), &program, attempt_dir, env)
    };
    if shares_files {
        return launch;
    }
    let jobs = config.server.jobs.as_ref();
    let url = jobs.and_then(|jobs| jobs.url.clone());
    launch.mirrored(MirrorAccess {
        url: url.unwrap_or_else(|| "[jobs_url]".to_owned()),
        token: Secret::new(REDACTED),
    })
}

/// Where files are not shared, secrets and `env_pass` do not pass through the engine at all.
fn variables(entry: &ModelEntry, shares_files: bool) -> BTreeMap<String, Secret> {
    let passed = entry.env_pass.iter().filter(|_| shares_files);
    let passed = passed.map(|name| (name.clone(), Secret::new(REDACTED)));
    let own = entry.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Text(text) => Some((name.clone(), Secret::new(text.clone()))),
        EnvValue::Secret(_) => shares_files.then(|| (name.clone(), Secret::new(REDACTED))),
    });
    passed.chain(own).collect()
}
