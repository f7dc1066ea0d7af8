//! `trainhook event`: a training command, in any language, tells how far it is.

use std::{fs, io, path::PathBuf, process::ExitCode};

use crate::{
    job::Stage,
    job_dir::{AttemptDir, Event, Level},
};

/// The arguments of `event`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Tell what the command is doing now.
    Stage {
        /// preparing, training, evaluating or finishing.
        stage: Stage,
    },
    /// Tell how far it is.
    Progress {
        /// 0 to 100.
        #[arg(value_parser = parse_percent)]
        percent: f64,
    },
    /// Tell values that were measured.
    Metric {
        /// NAME=VALUE, as often as there are values.
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = parse_metric)]
        metrics: Vec<(String, f64)>,
        /// At which step they were measured.
        #[arg(long)]
        step: Option<u64>,
    },
    /// Tell people something.
    Note {
        /// A sentence.
        text: String,
        /// info, warning or error.
        #[arg(long, default_value = "info", value_parser = parse_level)]
        level: Level,
    },
    /// Tell why the command is about to fail. It must still exit with another code than 0.
    Fail {
        /// The reason shown to people, in one line.
        reason: String,
    },
}

/// An event that was not told.
#[derive(Debug, thiserror::Error)]
enum EventError {
    #[error(
        "TRAINHOOK_JOB_DIR is not set: `trainhook event` works inside a training command that trainhook started"
    )]
    OutsideJob,
    #[error("cannot write to {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        match tell(self.what) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("trainhook: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

fn tell(what: What) -> Result<(), EventError> {
    let folder = std::env::var_os("TRAINHOOK_JOB_DIR")
        .filter(|folder| !folder.is_empty())
        .ok_or(EventError::OutsideJob)?;
    let dir = AttemptDir::at(folder.into());
    let (path, outcome) = match what {
        What::Fail { reason } => (dir.failure(), write_reason(&dir, &reason)),
        other => {
            let told = events(other)
                .iter()
                .try_for_each(|event| dir.append_event(event));
            (dir.events(), told)
        }
    };
    outcome.map_err(|source| EventError::Write { path, source })
}

fn events(what: What) -> Vec<Event> {
    match what {
        What::Stage { stage } => vec![Event::Stage { stage }],
        What::Progress { percent } => vec![Event::Progress { percent }],
        What::Metric { metrics, step } => metrics
            .into_iter()
            .map(|(name, value)| Event::Metric { name, value, step })
            .collect(),
        What::Note { text, level } => vec![Event::Note { level, text }],
        What::Fail { .. } => Vec::new(),
    }
}

fn write_reason(dir: &AttemptDir, reason: &str) -> io::Result<()> {
    fs::create_dir_all(dir.out())?;
    fs::write(dir.failure(), format!("{}\n", reason.trim()))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text
        .parse()
        .map_err(|_| "not a number: write 0 to 100".to_owned())?;
    (0.0..=100.0)
        .contains(&percent)
        .then_some(percent)
        .ok_or_else(|| "progress goes from 0 to 100".to_owned())
}

fn parse_metric(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "write NAME=VALUE, as in loss=0.21".to_owned())?;
    let value: f64 = value
        .parse()
        .map_err(|_| format!("the value of {name} is not a number"))?;
    value
        .is_finite()
        .then(|| (name.to_owned(), value))
        .ok_or_else(|| {
            format!("the value of {name} is not finite, and JSON knows only finite ones")
        })
}

fn parse_level(text: &str) -> Result<Level, String> {
    match text {
        "info" => Ok(Level::Info),
        "warning" => Ok(Level::Warning),
        "error" => Ok(Level::Error),
        _ => Err("levels are info, warning and error".to_owned()),
    }
}
