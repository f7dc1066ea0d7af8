//! `trainhook plan`: what a click on a model would hand to its engine.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, time::Duration};

use jiff::Timestamp;

use super::check;
use crate::{
    config::{self, Config, EnvValue, ModelEntry, Secret},
    executor::{Launch, Registry},
    job::{JobId, LaunchId},
    job_dir::JobDir,
    mirror::MirrorAccess,
    scheduler::Engine,
    server::build_engines,
};

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// An executor may ask its engine before it can tell.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints exactly what would be submitted for a job of this model; the job's id is made up, and secrets are left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing is submitted, and no secret is read.")]
pub(super) struct Args {
    /// The model's name in the settings.
    model: String,
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "models.toml")]
    config: PathBuf,
}

impl Args {
    pub(super) fn run(self, registry: &Registry) -> ExitCode {
        let parsed = match config::read(&self.config) {
            Ok(parsed) => parsed,
            Err(error) => return fail(2, &error.to_string()),
        };
        let (config, mistakes, _) = check::judge(parsed, registry);
        let Some(config) = config else {
            check::print_mistakes(&self.config, &mistakes);
            return ExitCode::from(2);
        };
        match plan(&config, &self.model, registry) {
            Ok(text) => {
                println!("{}", text.trim_end());
                ExitCode::SUCCESS
            }
            Err(error) => fail(1, &error),
        }
    }
}

fn plan(config: &Config, slug: &str, registry: &Registry) -> Result<String, String> {
    let models = config.models.iter();
    let entry = models.clone().find(|model| model.slug == slug);
    let entry = entry.ok_or_else(|| {
        let known: Vec<&str> = models.map(|model| model.slug.as_str()).collect();
        format!(
            "there is no [models.{slug}]; those that exist: {}",
            known.join(", ")
        )
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        let engines = build_engines(config.executors.clone(), registry);
        let engines = engines.map_err(|error| error.to_string())?;
        let engine = engines
            .get(&entry.executor)
            .ok_or("its executor is missing")?;
        let launch = launch(config, entry, engine);
        let planned = tokio::time::timeout(PATIENCE, engine.executor.plan(&launch)).await;
        let planned = planned.map_err(|_| "its engine does not answer".to_owned())?;
        planned.map_err(|error| format!("it would be refused: {error}"))
    })
}

/// A launch as a server here would make it, without its secrets.
fn launch(config: &Config, entry: &ModelEntry, engine: &Engine) -> Launch {
    let id = LaunchId {
        job: JobId::new(Timestamp::now()),
        attempt: 1,
    };
    let own = || std::env::current_exe().unwrap_or_else(|_| PathBuf::from("trainhook"));
    let program = engine.executor.program().unwrap_or_else(own);
    let attempt_dir = JobDir::new(&config.server.jobs_dir, id.job).attempt(id.attempt);
    let attempt_dir = attempt_dir.path().to_owned();
    let shares_files = engine.executor.shares_files();
    let env = variables(entry, shares_files);
    let launch = Launch::new(id, (entry, &engine.kind), &program, attempt_dir, env);
    if shares_files {
        return launch;
    }
    let url = config
        .server
        .jobs
        .as_ref()
        .and_then(|jobs| jobs.url.clone());
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

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("trainhook: {message}");
    ExitCode::from(code)
}
