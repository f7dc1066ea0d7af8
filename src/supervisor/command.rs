//! The command: found, filled in, and started through the stub.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, PipeReader},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::{Child, Command};

use super::{Work, environment, stub::STUB_COMMAND};
use crate::{config::Secret, mirror::TOKEN_VARIABLE, process::find_program};

/// A command that can be started.
pub(super) struct Prepared<'a> {
    env: &'a BTreeMap<String, Secret>,
    words: Vec<String>,
    workdir: PathBuf,
    variables: Vec<(String, OsString)>,
}

impl<'a> Prepared<'a> {
    /// Fills the placeholders and looks whether program and workdir are there.
    ///
    /// # Errors
    /// What is wrong and what to do, for people.
    pub(super) fn new(work: &'a Work<'_>) -> Result<Self, String> {
        let Work { dir, request, env } = work;
        let workdir = match request.code.is_empty() {
            true => request.workdir.clone(),
            false => dir.code(),
        };
        let cannot_start = |why: String| {
            let program = request.command.first().map_or("", String::as_str);
            format!("cannot start `{program}`: {why}")
        };
        let fill = |template: &String| environment::fill(template, dir, &request.params);
        let words: Vec<String> = request
            .command
            .iter()
            .map(fill)
            .collect::<Result<_, _>>()
            .map_err(cannot_start)?;
        if !workdir.is_dir() {
            return Err(cannot_start(format!(
                "its workdir {} is no folder on this machine: name what it needs in the model's files",
                workdir.display()
            )));
        }
        let program = words
            .first()
            .ok_or_else(|| cannot_start("the command is empty".to_owned()))?;
        find_program(program, &workdir).map_err(cannot_start)?;
        Ok(Self {
            env,
            workdir,
            variables: environment::variables(dir, request),
            words,
        })
    }

    /// Starts it, with one pipe for both of its outputs so that their order is kept.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub(super) fn spawn(self) -> Result<(Child, PipeReader), String> {
        let program = self.words.first().cloned().unwrap_or_default();
        self.try_spawn()
            .map_err(|error| format!("cannot start `{program}`: {error}"))
    }

    fn try_spawn(self) -> io::Result<(Child, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        let output = || writer.try_clone().map(OwnedFd::from).map(Stdio::from);
        let child = Command::new(own_executable()?)
            .arg(STUB_COMMAND)
            .arg(std::process::id().to_string())
            .arg("--")
            .args(&self.words)
            .env_remove(TOKEN_VARIABLE)
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .envs(self.variables)
            .current_dir(&self.workdir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .spawn()?;
        Ok((child, reader))
    }
}

/// `/proc/self/exe` is this very program even when the file at its path was replaced.
fn own_executable() -> io::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() {
        return Ok(own.to_owned());
    }
    std::env::current_exe()
}
