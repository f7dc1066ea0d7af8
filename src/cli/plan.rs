//! `trainhook plan`: what a click on a model would hand to its engine.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use super::check;
use crate::{
    config::{self, Config, ModelEntry},
    executor::{Registry, trial_launch},
    server::build_engines,
};

/// An executor may ask its engine before it can tell.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints exactly what would be submitted for a job of this model; the job's id is made up, and secrets are left out.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing is submitted, and no secret is read. What the engine would be given goes to standard output alone."
)]
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
    tell_command(entry);
    runtime.block_on(async {
        let engines = build_engines(config.executors.clone(), registry);
        let engines = engines.map_err(|error| error.to_string())?;
        let engine = engines
            .get(&entry.executor)
            .ok_or("its executor is missing")?;
        let launch = trial_launch(config, entry, &*engine.executor);
        let planned = tokio::time::timeout(PATIENCE, engine.executor.plan(&launch)).await;
        let planned = planned.map_err(|_| "its engine does not answer".to_owned())?;
        planned.map_err(|error| format!("it would be refused: {error}"))
    })
}

/// What the supervisor runs is in no engine's words: for people, beside what would be submitted.
fn tell_command(entry: &ModelEntry) {
    let words: Vec<String> = entry.command.iter().map(|word| quoted(word)).collect();
    let command = words.join(" ");
    eprintln!(
        "# {} runs, by its supervisor on {}:",
        entry.slug, entry.executor
    );
    eprintln!("#   {command}");
    match entry.files.is_empty() {
        true => eprintln!("# in {}", entry.workdir.display()),
        false => eprintln!("# among its files, copied from {}", entry.workdir.display()),
    }
    let names: Vec<&str> = entry
        .env
        .keys()
        .chain(&entry.env_pass)
        .map(String::as_str)
        .collect();
    if !names.is_empty() {
        eprintln!("# with {}, beside TRAINHOOK_…", names.join(", "));
    }
}

/// As a shell would want it, for reading.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,{}".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("trainhook: {message}");
    ExitCode::from(code)
}
