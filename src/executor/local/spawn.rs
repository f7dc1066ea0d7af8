//! Spawning a supervisor with a clean environment of its own.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::fs::OFlags;
use tokio::process::{Child, Command};

use crate::{
    executor::{Launch, SubmitError, surroundings::passed},
    job_dir::AttemptDir,
    process::LAUNCH_MARK,
};

/// Starts `launch.argv` in `place` by `program`, or by the running program itself. `gpus` are those of the
/// executor: where it has some, a launch sees its own and no other.
pub(super) fn spawn(
    launch: &Launch,
    place: &AttemptDir,
    program: Option<&Path>,
    gpus: &[u32],
) -> Result<Child, SubmitError> {
    let [name, arguments @ ..] = launch.argv.as_slice() else {
        return Err(SubmitError::Rejected(
            "the launch has no program".to_owned(),
        ));
    };
    std::fs::create_dir_all(place.path()).map_err(|error| refused("make a folder", &error))?;
    let mut command = Command::new(program.map_or_else(own_program, Path::to_owned));
    command
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(passed())
        .envs(
            launch
                .env
                .iter()
                .map(|(name, value)| (name, value.expose())),
        )
        // The mark is the command's; a supervisor that bears it would be taken for a leftover.
        .env_remove(LAUNCH_MARK)
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if !gpus.is_empty() {
        command.env("CUDA_VISIBLE_DEVICES", list(&launch.devices));
    }
    let log = open_log(place).map_err(|error| refused("write supervisor.log", &error))?;
    command
        .stderr(Stdio::from(log))
        .spawn()
        .map_err(|error| refused("start the supervisor", &error))
}

pub(super) fn list(devices: &[u32]) -> String {
    let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
    devices.join(",")
}

/// `/proc/self/exe` is this very program even when the file at its path was replaced.
fn own_program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() {
        return own;
    }
    std::env::current_exe().unwrap_or(own)
}

fn open_log(dir: &AttemptDir) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(dir.supervisor_log())
}

/// Nothing was started. Only a launch that no system would take is refused for good.
fn refused(doing: &str, error: &io::Error) -> SubmitError {
    let text = format!("cannot {doing}: {error}");
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong => {
            SubmitError::Rejected(text)
        }
        _ => SubmitError::Transient(text),
    }
}
