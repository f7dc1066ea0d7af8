//! `trainhook check`: the verdict on a settings file, all mistakes at once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use serde_json::json;

use crate::{
    config::{self, Config, Mistake, Parsed},
    executor::{
        Registry, model_mistakes, never_fitting, never_heard, never_taken, sent_to_loopback,
        unsent_workdirs,
    },
    http::tls::Tls,
};

/// Reads the settings and says whether the server would take them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: fine. 2: mistakes, each with its line, its key and what to do."
)]
pub(super) struct Args {
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "models.toml")]
    config: PathBuf,
    /// Prints the verdict as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self, registry: &Registry) -> ExitCode {
        let parsed = match config::read(&self.config) {
            Ok(parsed) => parsed,
            Err(error) => {
                eprintln!("trainhook: {error}");
                return ExitCode::from(2);
            }
        };
        let (config, mistakes, warnings) = judge(parsed, registry);
        match (config, self.json) {
            (Some(config), false) => praise(&self.config, &config, &warnings),
            (Some(config), true) => {
                println!(
                    "{}",
                    json!({ "mistakes": [], "warnings": warnings, "models": titles(&config) })
                );
            }
            (None, false) => print_mistakes(&self.config, &mistakes),
            (None, true) => {
                let line = |mistake: &Mistake| json!({ "line": mistake.line, "key": mistake.key, "text": mistake.text });
                println!(
                    "{}",
                    json!({ "mistakes": mistakes.iter().map(line).collect::<Vec<_>>() })
                );
            }
        }
        if mistakes.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        }
    }
}

/// Prints why a file is refused, the executors' own objections included.
pub(super) fn refuse(file: &Path, parsed: Parsed, registry: &Registry) -> ExitCode {
    print_mistakes(file, &judge(parsed, registry).1);
    ExitCode::from(2)
}

/// One line a mistake: file, line, key, what to do.
pub(super) fn print_mistakes(file: &Path, mistakes: &[Mistake]) {
    for Mistake { line, key, text } in mistakes {
        eprintln!("{}:{line}: {key}: {text}", file.display());
    }
    let many = if mistakes.len() == 1 {
        "1 mistake".to_owned()
    } else {
        format!("{} mistakes", mistakes.len())
    };
    eprintln!("{}: {many}", file.display());
}

/// Adds what the executors themselves find wrong with their tables, and what is only worth a warning.
pub(super) fn judge(
    mut parsed: Parsed,
    registry: &Registry,
) -> (Option<Config>, Vec<Mistake>, Vec<String>) {
    let mut mistakes = parsed.mistakes;
    let executors = registry.build(&mut parsed.executors, |_| Arc::default());
    let executors = executors.unwrap_or_else(|mut more| {
        mistakes.append(&mut more);
        BTreeMap::new()
    });
    mistakes.append(&mut model_mistakes(parsed.model_tables, &executors));
    if let Some(config) = &parsed.config {
        mistakes.append(&mut never_heard(config, &executors));
        // What is wrong with a table says it better.
        if mistakes.is_empty() {
            mistakes.append(&mut never_taken(config, &executors));
        }
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    let config = parsed.config.filter(|_| mistakes.is_empty());
    let warnings = config.as_ref().map(|config| {
        let mut warnings = config.warnings();
        let jobs = config.server.jobs.as_ref();
        let listeners = [
            ("tls", config.server.tls.clone()),
            ("jobs_tls", jobs.and_then(|jobs| jobs.tls.clone())),
        ];
        for (key, files) in listeners {
            let error = files.map(Tls::load).and_then(Result::err);
            warnings.extend(error.map(|error| format!("server.{key}: {error}")));
        }
        warnings.extend(never_fitting(&config.models, &executors));
        warnings.extend(sent_to_loopback(config, &executors));
        warnings.extend(unsent_workdirs(config, &executors));
        warnings
    });
    (config, mistakes, warnings.unwrap_or_default())
}

fn praise(file: &Path, config: &Config, warnings: &[String]) {
    let count = |number: usize, what: &str| {
        if number == 1 {
            format!("1 {what}")
        } else {
            format!("{number} {what}s")
        }
    };
    println!(
        "{}: fine: {}, {}, {}",
        file.display(),
        count(config.workspaces.len(), "workspace"),
        count(config.executors.len(), "executor"),
        count(config.models.len(), "model"),
    );
    for model in &config.models {
        println!(
            "  {:?} runs {} on {}",
            model.title,
            model.command.join(" "),
            model.executor
        );
    }
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

fn titles(config: &Config) -> Vec<&str> {
    config
        .models
        .iter()
        .map(|model| model.title.as_str())
        .collect()
}
