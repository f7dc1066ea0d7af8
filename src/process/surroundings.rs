//! Where this process runs, as far as it matters to what it starts: whether a stop would end local jobs, too.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long systemd may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What can be seen of the surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Our own number; 1 in a container that runs nothing else.
    pub pid: u32,
    /// A container says so of itself.
    pub in_container: bool,
    /// The systemd unit that we belong to, if to one.
    pub unit: Option<String>,
    /// The unit is a user's, and so is its manager.
    pub of_user: bool,
    /// What that unit does with what it has started, if systemd could be asked.
    pub kill_mode: Option<String>,
}

impl Surroundings {
    /// Looks around. It may ask systemd and wait for it, a moment at most.
    #[must_use]
    pub fn look() -> Self {
        let cgroups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        // A shell that was started by hand has no invocation, or belongs to a scope.
        let invoked = std::env::var_os("INVOCATION_ID").is_some();
        let unit = unit_of(&cgroups).filter(|_| invoked);
        let of_user = is_of_user(&cgroups);
        // Docker and Podman leave files, others variables.
        let files = ["/.dockerenv", "/run/.containerenv"];
        let variables = ["container", "KUBERNETES_SERVICE_HOST"];
        Self {
            pid: std::process::id(),
            in_container: files.iter().any(|file| Path::new(file).exists())
                || variables
                    .iter()
                    .any(|name| std::env::var_os(name).is_some()),
            kill_mode: unit
                .as_deref()
                .and_then(|unit| ask_kill_mode(unit, of_user)),
            unit,
            of_user,
        }
    }

    /// Why a stop of the server would end local jobs, and what to do; none if it would not.
    #[must_use]
    pub fn danger(&self) -> Option<String> {
        if self.pid == 1 || self.in_container {
            return Some(
                "this is a container: when it ends, the jobs of local executors end with it; they are tried again as \
                 node_lost, or run the server outside"
                    .to_owned(),
            );
        }
        let unit = self.unit.as_deref()?;
        match self.kill_mode.as_deref() {
            Some("process" | "none") => None,
            Some(mode) => Some(format!(
                "{unit} has KillMode={mode}: a restart ends the jobs of local executors; write KillMode=process"
            )),
            None => Some(format!(
                "systemd does not tell the KillMode of {unit}: with any other than process a restart ends the jobs of \
                 local executors"
            )),
        }
    }
}

/// The service in the text of `/proc/self/cgroup`; a session's scope is none.
#[must_use]
pub fn unit_of(cgroups: &str) -> Option<String> {
    let paths = cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2));
    let mut units = paths.filter_map(|path| path.rsplit('/').next());
    let unit = units.find(|unit| unit.ends_with(".service") && !unit.starts_with("user@"))?;
    Some(unit.to_owned())
}

/// Whether the text of `/proc/self/cgroup` names a service of a user's own manager.
#[must_use]
pub fn is_of_user(cgroups: &str) -> bool {
    let mut segments = cgroups.split(['/', '\n']);
    segments.any(|segment| segment.starts_with("user@") && segment.ends_with(".service"))
}

fn ask_kill_mode(unit: &str, of_user: bool) -> Option<String> {
    let mut asked = Command::new("systemctl")
        .arg(if of_user { "--user" } else { "--system" })
        .args(["show", "--property=KillMode", "--value", "--", unit])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    while asked.try_wait().ok()?.is_none() {
        if begun.elapsed() > PATIENCE {
            // What it would have said is not known, then.
            let _ = asked.kill();
            let _ = asked.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = asked.wait_with_output().ok()?;
    let mode = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!mode.is_empty()).then_some(mode)
}
