//! `sbatch`, and what its refusals mean.

use std::{collections::BTreeMap, path::PathBuf};

use super::{SlurmExecutor, commands::Commands, script};
use crate::{
    config::Secret,
    executor::{
        Launch, SubmitError,
        call::{Answer, CallError},
        shell,
    },
    job_dir::AttemptDir,
};

/// What Slurm says of launches that it will never take (`slurm_errno.c`, options of `sbatch`).
const FOR_GOOD: [&str; 17] = [
    "invalid partition",
    "invalid account",
    "invalid qos",
    "invalid feature",
    "invalid generic resource",
    "invalid job reservation",
    "requested reservation is invalid",
    "invalid wckey",
    "requested node configuration is not available",
    "node count specification invalid",
    "more processors requested than permitted",
    "requested time limit is invalid",
    "memory required by task is not available",
    "user's group not permitted to use this partition",
    "access/permission denied",
    "batch script is empty",
    "size of requested",
];

/// It may have arrived all the same.
const PERHAPS: [&str; 3] = [
    "timed out",
    "zero bytes were transmitted",
    "connection reset",
];

/// The exit code of a client that did not understand its own arguments; also that of an `ssh` before it, which has no
/// words of the client's to show.
const BAD_ARGUMENTS: i32 = 255;

/// How the client begins whatever it says.
const CLIENT: &str = "sbatch: ";

/// All that is handed to `sbatch`.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) arguments: Vec<String>,
    pub(super) script: String,
    /// Where the variables go, if not into the script.
    folder: Option<PathBuf>,
    env: BTreeMap<String, Secret>,
}

impl SlurmExecutor {
    /// What a launch becomes.
    pub(super) fn submission(&self, launch: &Launch) -> Result<Submission, SubmitError> {
        let folder = self.shared_folder(launch);
        let (chdir, output) = match &folder {
            None => ("/".to_owned(), "/dev/null".to_owned()),
            Some(folder) => {
                let log = AttemptDir::at(folder.clone()).supervisor_log();
                (plain(folder)?, plain(&log)?)
            }
        };
        let mut argv = launch.argv.clone();
        if let Some(work_dir) = &self.work_dir {
            argv.extend([
                "--work-dir".to_owned(),
                work_dir.to_string_lossy().into_owned(),
            ]);
        }
        let mut arguments = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", launch.id),
            "--no-requeue".to_owned(),
            "--export=NONE".to_owned(),
            format!("--chdir={chdir}"),
            format!("--output={}", output.replace('%', "%%")),
            "--open-mode=append".to_owned(),
        ];
        arguments.extend(self.options.arguments(launch));
        Ok(Submission {
            arguments,
            script: script::script(&argv, &launch.env, folder.as_deref()),
            folder,
            env: launch.env.clone(),
        })
    }
}

/// A path that is one word to Slurm, which understands backslashes in it.
fn plain(path: &std::path::Path) -> Result<String, SubmitError> {
    let text = path.to_str().filter(|text| !text.contains(['\\', '\n']));
    text.map(str::to_owned).ok_or_else(|| {
        let path = path.display();
        SubmitError::Rejected(format!(
            "Slurm cannot use the path {path}: choose another jobs_dir"
        ))
    })
}

impl Submission {
    pub(super) async fn write_environment(&self) -> Result<(), SubmitError> {
        let Some(folder) = self.folder.clone() else {
            return Ok(());
        };
        let env = self.env.clone();
        let file = folder.join(script::ENVIRONMENT);
        let write = move || shell::write_variables(&file, &env);
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(|error| SubmitError::Transient(error.to_string()))?;
        written.map_err(|error| {
            SubmitError::Transient(format!("cannot write the job's variables: {error}"))
        })
    }

    /// For people: the command line, the script, and the file beside it.
    pub(super) fn describe(&self, command: &[String]) -> String {
        let words = command.iter().chain(&self.arguments);
        let line: Vec<String> = words.map(|word| shell::quoted_if_needed(word)).collect();
        let line = line.join(" ");
        let variables = match &self.folder {
            Some(_) if !self.env.is_empty() => format!(
                "\n# The file that it reads, which only its owner can:\n{}",
                shell::exports(&self.env)
            ),
            _ => String::new(),
        };
        format!("{line} <<'SCRIPT'\n{}SCRIPT\n{variables}", self.script)
    }
}

impl Commands {
    /// Submits; answers the job's number.
    pub(super) async fn sbatch(&self, submission: Submission) -> Result<String, SubmitError> {
        let Submission {
            arguments, script, ..
        } = submission;
        let answer = match self.call("sbatch", arguments, script.into_bytes()).await {
            Ok(answer) => answer,
            Err(error @ CallError::NotStarted { .. }) => {
                return Err(SubmitError::Transient(error.to_string()));
            }
            Err(error) => return Err(SubmitError::Ambiguous(error.to_string())),
        };
        if answer.code != Some(0) {
            return Err(refusal(&answer));
        }
        number(&answer.output).ok_or_else(|| {
            let said = answer.output.trim().chars().take(100).collect::<String>();
            SubmitError::Ambiguous(format!("sbatch answered {said:?} and no job number"))
        })
    }
}

/// `123`, or `123;cluster`.
fn number(output: &str) -> Option<String> {
    let line = output.lines().rev().find(|line| !line.trim().is_empty())?;
    let number = line.trim().split(';').next()?;
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    is_number.then(|| number.to_owned())
}

/// Only what is known to be for good ends a job; whatever else Slurm says is shown while we try again.
fn refusal(answer: &Answer) -> SubmitError {
    let said = answer.errors.to_lowercase();
    let complaint = answer.complaint();
    let complaint = complaint
        .trim_start_matches("sbatch: error: ")
        .trim_start_matches("Batch job submission failed: ");
    let text = format!("sbatch: {complaint}");
    let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if has(&PERHAPS) {
        return SubmitError::Ambiguous(text);
    }
    if answer.code == Some(BAD_ARGUMENTS) && !has(&[CLIENT]) {
        return SubmitError::Ambiguous(text);
    }
    if has(&FOR_GOOD) || answer.code == Some(BAD_ARGUMENTS) {
        return SubmitError::Rejected(text);
    }
    SubmitError::Transient(text)
}
