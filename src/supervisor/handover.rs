//! Variables that are not to be seen where the supervisor was started: they come by its standard input.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::SuperviseError;

/// They were sent before we were started.
const PATIENCE: Duration = Duration::from_secs(30);

/// As much as a system takes at most for a program's variables, about.
const LIMIT: u64 = 4 * 1024 * 1024;

/// The argument that asks for it.
pub const ENV_ARGUMENT: &str = "--env-stdin";

/// Reads one line, a JSON object of names and values, and becomes the same supervisor anew, with them and without the
/// argument that asked for it. Answers only if that failed.
#[must_use]
pub fn take_sent_variables() -> SuperviseError {
    SuperviseError::broken("take over the variables")(match receive() {
        Ok(variables) => become_anew(variables),
        Err(error) => error,
    })
}

fn become_anew(variables: BTreeMap<String, String>) -> io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| "trainhook".into());
    Command::new("/proc/self/exe")
        .arg0(name)
        .args(arguments.filter(|argument| argument != ENV_ARGUMENT))
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
