//! Variables that are not to be seen where the supervisor was started: they come by its standard input.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// They were sent before we were started.
const PATIENCE: Duration = Duration::from_secs(30);

/// As much as a system takes at most for a program's variables, about.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Reads one line, a JSON object of names and values, and becomes the supervisor of `job_dir` with them. Answers only
/// if that failed.
#[must_use]
pub fn supervise_with_sent_variables(job_dir: &Path) -> io::Error {
    let variables = match receive() {
        Ok(variables) => variables,
        Err(error) => return error,
    };
    let own = Path::new("/proc/self/exe");
    let name = std::env::args_os()
        .next()
        .unwrap_or_else(|| "trainhook".into());
    Command::new(own)
        .arg0(name)
        .args(["supervise", "--job-dir"])
        .arg(job_dir)
        .envs(variables)
        .stdin(Stdio::null())
        .exec()
}

fn receive() -> io::Result<BTreeMap<String, String>> {
    let (sender, line) = mpsc::channel();
    thread::spawn(move || {
        let mut line = Vec::new();
        let read = io::stdin().lock().take(LIMIT).read_until(b'\n', &mut line);
        // Nobody waits any more if it came too late.
        let _ = sender.send(read.map(|_| line));
    });
    let late = |_| io::Error::other("the variables did not come by standard input");
    let line = line.recv_timeout(PATIENCE).map_err(late)??;
    serde_json::from_slice(&line)
        .map_err(|_| io::Error::other("what came by standard input are no variables"))
}
