//! `trainhook conformance`: whether an executor keeps what every executor must.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use super::{check, terminal::duration};
use crate::{
    config,
    conformance::{self, Kept, Outcome, Report, Subject},
    executor::Registry,
};

/// Runs real jobs on an executor of the settings and says, for each promise, whether it was kept.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "It needs no server and disturbs none: store, Labelbox and jobs are its own. Exit code 0: nothing was \
                  broken. 1: something was. 2: nothing could be tried."
)]
pub(super) struct Args {
    /// The name of the executor's table in the settings.
    executor: String,
    /// The settings.
    #[arg(long, value_name = "FILE", default_value = "models.toml")]
    config: PathBuf,
    /// Uses what this model says to the executor's kind: image, partition and the like. Default: the first one that runs there.
    #[arg(long, value_name = "SLUG")]
    model: Option<String>,
    /// What one promise may take, with all the waiting of the engine.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    patience: Duration,
    /// Tries this promise alone; may be given more than once.
    #[arg(long, value_name = "PROMISE", value_parser = promise)]
    only: Vec<String>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

fn promise(text: &str) -> Result<String, String> {
    let names: Vec<&str> = conformance::promises().map(|(name, _)| name).collect();
    match names.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("the promises are {}", names.join(", "))),
    }
}

impl Args {
    pub(super) fn run(self, registry: &Registry) -> ExitCode {
        let parsed = match config::read(&self.config) {
            Ok(parsed) => parsed,
            Err(error) => return fail(&error.to_string()),
        };
        let (config, mistakes, _) = check::judge(parsed, registry);
        let Some(config) = config else {
            check::print_mistakes(&self.config, &mistakes);
            return ExitCode::from(2);
        };
        let subject = Subject {
            model: self.model,
            patience: self.patience,
            only: self.only,
            ..Subject::new(config, &self.executor)
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return fail(&format!("cannot start threads: {error}")),
        };
        let json = self.json;
        let tell = |kept: &Kept| {
            if !json {
                println!("{}", line(kept));
            }
        };
        let tried = runtime.block_on(conformance::run(subject, registry, tell));
        runtime.shutdown_timeout(Duration::from_secs(1));
        match tried {
            Err(error) => fail(&error.to_string()),
            Ok(report) => conclude(&report, json),
        }
    }
}

fn line(kept: &Kept) -> String {
    let Kept {
        name,
        promise,
        outcome,
        seconds,
    } = kept;
    let (word, why) = match outcome {
        Outcome::Pass => ("pass", None),
        Outcome::Fail(why) => ("FAIL", Some(why)),
        Outcome::Skip(why) => ("skip", Some(why)),
    };
    let why = why.map_or_else(String::new, |why| format!("\n      {why}"));
    format!("{word}  {name:<17} {seconds:>6.1} s  {promise}{why}")
}

fn conclude(report: &Report, json: bool) -> ExitCode {
    if json {
        match serde_json::to_string(report) {
            Ok(text) => println!("{text}"),
            Err(error) => return fail(&error.to_string()),
        }
    } else {
        let kept = report.count(|outcome| *outcome == Outcome::Pass);
        let broken = report.count(|outcome| matches!(outcome, Outcome::Fail(_)));
        let skipped = report.count(|outcome| matches!(outcome, Outcome::Skip(_)));
        println!(
            "\nexecutor {} ({}): {kept} promises kept, {broken} broken, {skipped} not tried",
            report.executor, report.kind
        );
        if let Some(folder) = &report.folder {
            println!("the jobs' files are in {}", folder.display());
        }
    }
    match report.is_kept() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("trainhook: {message}");
    ExitCode::from(2)
}
