//! Calling a program of an engine: within a time limit, with bounded output, and with nothing of our environment that
//! it does not need.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use super::surroundings::passed;

/// Bytes taken of what a program says about its errors.
const ERRORS_LIMIT: u64 = 64 * 1024;

/// What a program that has ended still holds open is waited for this long.
const PIPE_PATIENCE: Duration = Duration::from_millis(500);

/// A program, and how it is called.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Program and arguments; no shell reads them.
    pub(super) argv: Vec<String>,
    /// Where it runs.
    pub(super) folder: PathBuf,
    /// On top of what every program of ours gets.
    pub(super) env: BTreeMap<String, String>,
    /// What it reads.
    pub(super) input: Vec<u8>,
    /// It is killed beyond.
    pub(super) time: Duration,
    /// Bytes that it may write.
    pub(super) output: u64,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    status: ExitStatus,
    /// What it wrote.
    pub(super) output: String,
    /// What it wrote about errors.
    pub(super) errors: String,
}

/// A call that came to no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// It never began.
    #[error("cannot run {program}: {why}")]
    NotStarted { program: String, why: String },
    /// It took too long, and was killed.
    #[error("{program} did not answer within {} s", .limit.as_secs())]
    TooSlow { program: String, limit: Duration },
    /// It wrote too much, and was killed.
    #[error("{program} wrote more than {limit} bytes")]
    TooLong { program: String, limit: u64 },
    /// The system did not tell how it ended.
    #[error("cannot tell how {program} ended: {why}")]
    Broken { program: String, why: String },
}

impl Call {
    /// Runs it to its end.
    pub(super) async fn run(self) -> Result<Answer, CallError> {
        let program = self.argv.first().cloned().unwrap_or_default();
        let (time, limit) = (self.time, self.output);
        let mut child = self.start().map_err(|error| CallError::NotStarted {
            program: program.clone(),
            why: error.to_string(),
        })?;
        let broken = |error: std::io::Error| CallError::Broken {
            program: program.clone(),
            why: error.to_string(),
        };
        let answered = timeout(time, converse(&mut child, self.input, limit)).await;
        match answered {
            Ok(Ok(answer)) if answer.output.len() as u64 > limit => {
                Err(CallError::TooLong { program, limit })
            }
            Ok(answered) => answered.map_err(broken),
            Err(_) => {
                end(&mut child).await;
                let limit = time;
                Err(CallError::TooSlow { program, limit })
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        let [program, arguments @ ..] = self.argv.as_slice() else {
            return Err(std::io::Error::other("there is no program"));
        };
        Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(passed())
            .envs(&self.env)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

async fn converse(child: &mut Child, input: Vec<u8>, limit: u64) -> std::io::Result<Answer> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read to the end has its reasons.
            let _ = stdin.write_all(&input).await;
        }
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = {
        let read = async {
            tokio::join!(
                read_into(stdout, &mut output, limit + 1),
                read_into(stderr, &mut errors, ERRORS_LIMIT)
            )
        };
        let mut read = std::pin::pin!(read);
        let mut write = std::pin::pin!(write);
        let (mut is_read, mut is_written) = (false, false);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = &mut read, if !is_read => is_read = true,
                () = &mut write, if !is_written => is_written = true,
            }
        };
        // Something that it started may hold its outputs open; what it has said itself is there.
        if !is_read {
            let _ = timeout(PIPE_PATIENCE, read).await;
        }
        status
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Answer {
        code: status.code(),
        status,
        output: text(output),
        errors: text(errors),
    })
}

/// Reads up to the limit; whoever writes more finds nobody who reads.
async fn read_into(pipe: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>, limit: u64) {
    if let Some(pipe) = pipe {
        // What came before an error is all there is.
        let _ = pipe.take(limit).read_to_end(bytes).await;
    }
}

/// Kills it with all that it has started in its group.
async fn end(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    if let Some(group) = group {
        // The group is named by a pid that stays taken until we have waited for it.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = timeout(PIPE_PATIENCE, child.wait()).await;
}

impl Answer {
    /// The last line of what it said about errors, or how it ended.
    pub(super) fn complaint(&self) -> String {
        let mut lines = self.errors.lines().rev().map(str::trim);
        let line = lines.find(|line| !line.is_empty());
        line.map_or_else(|| self.status.to_string(), shown)
    }
}

/// A line for people: bounded, and without what a terminal would obey.
fn shown(line: &str) -> String {
    let plain = line.chars().filter(|c| !c.is_control());
    plain.take(300).collect()
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.complaint(), self.status)
    }
}
