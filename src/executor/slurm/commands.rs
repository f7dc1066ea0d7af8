//! Slurm's commands: where they are, as whom they run, and how long they may take.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::jobs::{ACCOUNTING_FORMAT, Jobs, QUEUE_FORMAT};
use crate::{
    config::Table,
    executor::{
        QueryError,
        call::{Answer, Call, CallError},
    },
};

/// A command may take this long if the table does not say: with a controller that is down, they take 9 to 18 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest time that a table may give: two calls must fit into what the server waits.
const LONGEST_CALL: Duration = Duration::from_secs(25);

/// Bytes that a command may write.
const OUTPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// Exit codes of `scancel` for a job that is over: `ESLURM_INVALID_JOB_ID` and `ESLURM_ALREADY_DONE`, of which a code holds
/// eight bits. With `--quiet` it says no more.
const OVER: [i32; 2] = [2017 & 0xff, 2021 & 0xff];

/// Names that are asked for in one command line.
const NAMES_AT_ONCE: usize = 500;

/// How the commands are called.
#[derive(Debug)]
pub(super) struct Commands {
    prefix: Vec<String>,
    /// As the table has it: whoever acts for others hands on few variables, so it is named behind the prefix.
    conf: Option<PathBuf>,
    folder: PathBuf,
    bin: Option<PathBuf>,
    env: BTreeMap<String, String>,
    timeout: Duration,
    /// Accounting is there, as far as is known: it is asked until it says that it is not.
    accounting: AtomicBool,
    user: OnceCell<String>,
}

impl Commands {
    pub(super) fn from_table(table: &mut Table, folder: &Path) -> Self {
        let timeout = table.duration("call_timeout").unwrap_or(CALL_TIMEOUT);
        if timeout.is_zero() || timeout > LONGEST_CALL {
            table.mistake("call_timeout", "must be at most \"25s\", and not zero");
        }
        let written = table.string("conf").map(|conf| folder.join(conf));
        let conf = written
            .clone()
            .map(PathBuf::into_os_string)
            .or_else(|| std::env::var_os("SLURM_CONF"));
        let conf = conf.and_then(|conf| conf.into_string().ok());
        // Reasons and errors are read by us.
        let env = [("LC_ALL".to_owned(), "C".to_owned())];
        Self {
            prefix: table.strings("command_prefix").unwrap_or_default(),
            conf: written,
            folder: folder.to_owned(),
            bin: table.string("bin").map(|bin| folder.join(bin)),
            env: env
                .into_iter()
                .chain(conf.map(|conf| ("SLURM_CONF".to_owned(), conf)))
                .collect(),
            timeout,
            accounting: AtomicBool::new(table.boolean("accounting").unwrap_or(true)),
            user: OnceCell::new(),
        }
    }

    /// The words that begin a command line.
    pub(super) fn line(&self, program: &str) -> Vec<String> {
        let program = match &self.bin {
            Some(bin) => bin.join(program).to_string_lossy().into_owned(),
            None => program.to_owned(),
        };
        let mut line = self.prefix.clone();
        if let Some(conf) = self.conf.as_ref().filter(|_| !self.prefix.is_empty()) {
            let conf = format!("SLURM_CONF={}", conf.display());
            line.extend(["env".to_owned(), conf]);
        }
        line.push(program);
        line
    }

    pub(super) async fn call(
        &self,
        program: &str,
        arguments: Vec<String>,
        input: Vec<u8>,
    ) -> Result<Answer, CallError> {
        self.call_line([self.line(program), arguments].concat(), input)
            .await
    }

    async fn call_line(&self, argv: Vec<String>, input: Vec<u8>) -> Result<Answer, CallError> {
        let call = Call {
            argv,
            folder: self.folder.clone(),
            env: self.env.clone(),
            input,
            time: self.timeout,
            output: OUTPUT_LIMIT,
        };
        call.run().await
    }

    /// Calls a command whose failure tells nothing about any job.
    async fn ask(&self, program: &str, arguments: &[&str]) -> Result<Answer, QueryError> {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let answer = self.call(program, arguments, Vec::new()).await;
        answer.map_err(|error| QueryError(error.to_string()))
    }

    async fn ask_well(&self, program: &str, arguments: &[&str]) -> Result<String, QueryError> {
        let answer = self.ask(program, arguments).await?;
        match answer.code {
            Some(0) => Ok(answer.output),
            _ => Err(QueryError(format!("{program}: {}", answer.complaint()))),
        }
    }

    /// The number of the user that the commands run as; asked once.
    async fn user(&self) -> Result<&str, QueryError> {
        let ask = async || {
            let argv = [
                self.prefix.clone(),
                ["id", "-u"].map(str::to_owned).to_vec(),
            ]
            .concat();
            let answer = self.call_line(argv, Vec::new()).await;
            let answer = answer.map_err(|error| QueryError(error.to_string()))?;
            let user = answer.output.trim().to_owned();
            match user.parse::<u32>() {
                Ok(_) if answer.code == Some(0) => Ok(user),
                _ => Err(QueryError(format!("id -u: {}", answer.complaint()))),
            }
        };
        self.user.get_or_try_init(ask).await.map(String::as_str)
    }

    /// Whether the commands run as the server's own user.
    ///
    /// # Errors
    /// When they do not say who they are.
    pub(super) async fn run_as_we_do(&self) -> Result<bool, QueryError> {
        let ours = rustix::process::getuid().as_raw().to_string();
        Ok(self.user().await? == ours)
    }

    /// What Slurm has under these names, each with the time since when it may have ended: one look at the queue for all
    /// of them, and one at the accounting for those that are no longer in it.
    pub(super) async fn jobs(
        &self,
        names: &BTreeMap<String, Option<Timestamp>>,
    ) -> Result<Jobs, QueryError> {
        let user = self.user().await?;
        let mut jobs = Jobs::new(user);
        let all: Vec<&str> = names.keys().map(String::as_str).collect();
        for names in all.chunks(NAMES_AT_ONCE) {
            jobs.take_queue(&self.squeue(user, names).await?);
        }
        let ended: Vec<&str> = all.into_iter().filter(|name| !jobs.has(name)).collect();
        let since = ended
            .iter()
            .filter_map(|name| names.get(*name).copied().flatten());
        let since = since.min().unwrap_or_else(Timestamp::now);
        for names in ended.chunks(NAMES_AT_ONCE) {
            match self.sacct(user, names, since).await {
                Ok(Some(rows)) => jobs.take_accounting(&rows),
                Ok(None) => break,
                Err(error) => {
                    jobs.not_told(names, &error);
                    break;
                }
            }
        }
        Ok(jobs)
    }

    async fn squeue(&self, user: &str, names: &[&str]) -> Result<String, QueryError> {
        let (user, names) = (
            format!("--user={user}"),
            format!("--name={}", names.join(",")),
        );
        let format = format!("--format={QUEUE_FORMAT}");
        let arguments = ["--noheader", "--states=all", &user, &names, &format];
        self.ask_well("squeue", &arguments).await
    }

    /// None where there is no accounting.
    async fn sacct(
        &self,
        user: &str,
        names: &[&str],
        since: Timestamp,
    ) -> Result<Option<String>, QueryError> {
        if !self.accounting.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let (user, names) = (
            format!("--user={user}"),
            format!("--name={}", names.join(",")),
        );
        // Slurm reads times in its own time zone; counted from now there is but one.
        let days = Timestamp::now().duration_since(since).as_hours().max(0) / 24 + 2;
        let (since, format) = (
            format!("--starttime=now-{days}days"),
            format!("--format={ACCOUNTING_FORMAT}"),
        );
        let arguments = [
            "--allocations",
            "--noheader",
            "--parsable2",
            &user,
            &names,
            &since,
            &format,
        ];
        let answer = self.ask("sacct", &arguments).await?;
        if answer.code == Some(0) {
            return Ok(Some(answer.output));
        }
        if answer.errors.contains("storage is disabled") {
            self.accounting.store(false, Ordering::Relaxed);
            return Ok(None);
        }
        Err(QueryError(format!("sacct: {}", answer.complaint())))
    }

    /// Ends or signals all jobs of that name and of our user; none is fine.
    pub(super) async fn scancel(&self, how: &[&str], name: &str) -> Result<(), QueryError> {
        let (user, name) = (
            format!("--user={}", self.user().await?),
            format!("--name={name}"),
        );
        let arguments = [how, &["--quiet", &user, &name]].concat();
        let answer = self.ask("scancel", &arguments).await?;
        // It may have ended in between.
        let is_fine = answer
            .code
            .is_some_and(|code| code == 0 || OVER.contains(&code))
            || answer.errors.contains("already complet")
            || answer.errors.contains("Invalid job id");
        match is_fine {
            true => Ok(()),
            false => Err(QueryError(format!("scancel: {}", answer.complaint()))),
        }
    }

    /// Version, partitions and whether there is accounting, in words.
    pub(super) async fn check(&self, wanted: Option<&str>) -> Result<String, QueryError> {
        let version = self.ask_well("sinfo", &["--version"]).await?;
        let listed = self
            .ask_well("sinfo", &["--noheader", "--format=%R"])
            .await?;
        let mut partitions: Vec<&str> = listed.split_whitespace().collect();
        partitions.dedup();
        let unknown = |wanted: &&str| !wanted.split(',').all(|one| partitions.contains(&one));
        if let Some(wanted) = wanted.filter(unknown) {
            let known = partitions.join(", ");
            return Err(QueryError(format!(
                "there is no partition {wanted}; those that exist: {known}"
            )));
        }
        let user = self.user().await?;
        let accounting = match self.sacct(user, &["trainhook"], Timestamp::now()).await? {
            Some(_) => "accounting",
            None => "no accounting: how a job ended is known from its own record alone",
        };
        Ok(format!(
            "{}, partitions {}, {accounting}",
            version.trim(),
            partitions.join(", ")
        ))
    }
}
