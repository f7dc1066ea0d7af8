//! What a person sees of the demo: live on a terminal, a line for each change elsewhere.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::Path,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    emulator::TimelineEntry,
    job::{Job, JobState},
};

/// The way of a job, as it is drawn.
const STEPS: [JobState; 5] = [
    JobState::Exporting,
    JobState::Queued,
    JobState::Running,
    JobState::Uploading,
    JobState::Succeeded,
];

/// Draws the demo.
#[derive(Debug)]
pub(super) struct Display {
    live: Option<ProgressBar>,
    colours: bool,
    last_line: String,
}

impl Display {
    /// Live if standard output is a terminal.
    pub(super) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let live = terminal.then(|| {
            let bar = ProgressBar::with_draw_target(Some(100), ProgressDrawTarget::stdout());
            let template = if colours {
                "  {msg}\n  {bar:40.green/black} {pos:>3} %"
            } else {
                "  {msg}\n  {bar:40} {pos:>3} %"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━━─"));
            }
            bar
        });
        Self {
            live,
            colours,
            last_line: String::new(),
        }
    }

    /// What is about to happen.
    pub(super) fn introduce(&self, labelbox: &str, server: SocketAddr, title: &str) {
        say("");
        say(&self.bold("The whole circle, on this machine"));
        say(&format!("  Labelbox, emulated    {labelbox}"));
        say(&format!("  trainhook serve       http://{server}"));
        say(&format!("  and now a click on    Train model → {title}"));
        say("");
    }

    /// The job as it stands.
    pub(super) fn show(&mut self, job: &Job) {
        let percent = match job.state {
            JobState::Succeeded => 100.0,
            _ => job.progress.percent.unwrap_or(0.0),
        };
        let line = format!("{}  {}", self.steps(job), facts(job));
        match &self.live {
            Some(bar) => {
                bar.set_message(line);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 100"
                )]
                bar.set_position(percent as u64);
            }
            None if line != self.last_line => {
                say(&format!("  {line}  {percent:.0} %"));
                self.last_line = line;
            }
            None => {}
        }
    }

    /// Leaves the live lines as they are.
    pub(super) fn leave(&self) {
        if let Some(bar) = &self.live {
            bar.abandon();
        }
    }

    /// What Labelbox was told.
    pub(super) fn told(&self, told: &[TimelineEntry]) {
        self.leave();
        say("");
        say(&self.bold("What Labelbox was told"));
        let begin = told.first().map(|entry| entry.at);
        for entry in told {
            let seconds = begin.map_or(0.0, |begin| entry.at.duration_since(begin).as_secs_f64());
            say(format!(
                "  {seconds:>6.2} s  {:<15} {}",
                self.status(&entry.status),
                details(entry)
            )
            .trim_end());
        }
    }

    /// What Labelbox holds now.
    pub(super) fn arrived(&self, lines: &[String]) {
        say("");
        say(&self.bold("What arrived in Labelbox"));
        for line in lines {
            say(&format!("  {line}"));
        }
    }

    /// Where everything is, what to try next.
    pub(super) fn conclude(&self, job: &Job, kept: Option<&Path>) {
        say("");
        match kept {
            Some(folder) => say(&format!(
                "  Everything is in {}: jobs/{} is the job",
                folder.display(),
                job.id
            )),
            None => say("  Run it with --keep FOLDER to look at the job's files afterwards."),
        }
        say("");
        say(&self.bold("What to try next"));
        say("  trainhook check              says whether a models.toml is fine");
        say("  trainhook demo --model SLUG --dataset FILE");
        say("                               plays your own model on an export of your own");
        say("  trainhook serve              is the server, for your own models");
        say("  trainhook emulate --help     is this Labelbox, to click on it");
        say("");
    }

    fn steps(&self, job: &Job) -> String {
        let here = match job.state {
            JobState::Accepted => JobState::Exporting,
            JobState::Submitting | JobState::Pending => JobState::Queued,
            state => state,
        };
        let at = STEPS.iter().position(|step| *step == here);
        let draw = |(index, step): (usize, &JobState)| match at {
            Some(at) if index == at && !self.colours => format!("[{step}]"),
            Some(at) if index == at => self.bold(step.as_str()),
            Some(at) if index < at => step.to_string(),
            _ => self.faint(step.as_str()),
        };
        match at {
            Some(_) => STEPS
                .iter()
                .enumerate()
                .map(draw)
                .collect::<Vec<_>>()
                .join(" → "),
            None => self.bold(job.state.as_str()),
        }
    }

    fn status(&self, status: &str) -> String {
        let padded = format!("{status:<15}");
        match status {
            "COMPLETE" => self.paint("32", &padded),
            "FAILED" => self.paint("31", &padded),
            _ => padded,
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn faint(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Stage and metrics, as far as the command has told them, and what the job waits for.
fn facts(job: &Job) -> String {
    let stage = job
        .stage
        .filter(|_| job.state == JobState::Running)
        .map(|stage| stage.to_string());
    let metrics = job
        .progress
        .metrics
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    stage
        .into_iter()
        .chain(metrics)
        .chain(job.waiting.clone())
        .collect::<Vec<_>>()
        .join("  ")
}

fn details(entry: &TimelineEntry) -> String {
    let metadata = entry.metadata.iter().flatten();
    let shown = metadata.filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)));
    let shown = shown.filter(|fact| !fact.starts_with("trainhook_job="));
    entry
        .error_message
        .clone()
        .into_iter()
        .chain(shown)
        .collect::<Vec<_>>()
        .join("  ")
}

/// A reader that has gone away, as after `| head`, is no reason to stop the training badly.
fn say(line: &str) {
    let _gone = writeln!(std::io::stdout(), "{line}");
}
