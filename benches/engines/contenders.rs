//! The engines: how an executor reaches each, and how its own client starts the same command.

use std::{env, process::Command};

use crate::{bell::Bell, server::wait_for};

/// The image of `tests/engines/docker.sh`.
const IMAGE: &str = "localhost/trainhook-test:1";

/// Where `tests/engines/ray.sh install` puts Ray.
const VENV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ray-venv");

/// When an end is seen is not what is measured.
pub(crate) const SHORT_POLLS: &str = "poll_interval = \"500ms\"\npoll_pause = \"500ms\"\n";

/// One engine.
pub(crate) struct Contender {
    /// The executor's kind.
    pub(crate) kind: &'static str,
    /// What it is compared with.
    pub(crate) rival: &'static str,
    /// The rest of the executor's table.
    pub(crate) table: String,
    /// Starts the command by the engine's own client.
    pub(crate) client: Command,
    /// Says what the engine still has to do, if the client comes back before that.
    pub(crate) left: Option<Command>,
}

/// All of them, each with why it is skipped if it is not there.
pub(crate) fn all(bell: &Bell) -> Vec<Result<Contender, String>> {
    vec![local(bell), container(bell), slurm(bell), ray(bell)]
}

fn local(bell: &Bell) -> Result<Contender, String> {
    let mut client = Command::new("sh");
    client.args(["-c", &bell.script()]);
    Ok(Contender {
        kind: "local",
        rival: "spawning the command",
        table: String::new(),
        client,
        left: None,
    })
}

fn container(bell: &Bell) -> Result<Contender, String> {
    let host = address("container", "TRAINHOOK_TEST_DOCKER", "docker.sh")?;
    let mount = format!("{0}:{0}", bell.folder());
    let mut client = Command::new("docker");
    client.env("DOCKER_HOST", &host).args([
        "run",
        "--rm",
        "--pull=never",
        "--network=none",
        "--volume",
        &mount,
        IMAGE,
        "sh",
        "-c",
        &bell.script(),
    ]);
    Ok(Contender {
        kind: "container",
        rival: "`docker run`",
        table: format!(
            "host = {host:?}\nimage = \"{IMAGE}\"\npull = \"never\"\nnetwork = \"none\"\nmounts = [{mount:?}]\n"
        ),
        client,
        left: None,
    })
}

fn slurm(bell: &Bell) -> Result<Contender, String> {
    let folder = address("slurm", "TRAINHOOK_TEST_SLURM", "slurm.sh")?;
    let conf = format!("{folder}/etc/slurm.conf");
    let mut client = Command::new("sbatch");
    client.env("SLURM_CONF", &conf).args([
        "--parsable",
        // As a server must: its own variables are not the job's.
        "--export=NONE",
        "--output=/dev/null",
        &format!("--wrap={}", bell.script()),
    ]);
    let mut left = Command::new("squeue");
    left.env("SLURM_CONF", &conf).arg("--noheader");
    Ok(Contender {
        kind: "slurm",
        rival: "`sbatch`",
        table: format!("conf = {conf:?}\n{SHORT_POLLS}"),
        client,
        left: Some(left),
    })
}

/// Its client is the one that Ray comes with.
fn ray(bell: &Bell) -> Result<Contender, String> {
    let address = address("ray", "TRAINHOOK_TEST_RAY", "ray.sh")?;
    let venv = env::var("TRAINHOOK_RAY_VENV").unwrap_or_else(|_| VENV.to_owned());
    let mut client = Command::new(format!("{venv}/bin/ray"));
    client.env("RAY_USAGE_STATS_ENABLED", "0").args([
        "job",
        "submit",
        "--no-wait",
        "--address",
        &address,
        "--",
        "sh",
        "-c",
        &bell.script(),
    ]);
    Ok(Contender {
        kind: "ray",
        rival: "`ray job submit`",
        table: format!(
            "address = {address:?}\nshared_files = true\nsupervisor = \"shared\"\n{SHORT_POLLS}"
        ),
        client,
        left: None,
    })
}

impl Contender {
    /// Waits until the engine has nothing to do.
    pub(crate) async fn rest(&mut self) {
        let Some(left) = &mut self.left else {
            return;
        };
        wait_for("an idle engine", || {
            let said = left.output().expect("the client is there").stdout;
            said.is_empty().then_some(())
        })
        .await;
    }
}

/// Where the tests' own engine is.
fn address(kind: &str, variable: &str, script: &str) -> Result<String, String> {
    let address = env::var(variable).ok().filter(|value| !value.is_empty());
    address.ok_or_else(|| format!("{kind}: {variable} is not set (tests/engines/{script} start)"))
}
