//! A real Slurm, as `tests/engines/slurm.sh` starts it and `TRAINHOOK_TEST_SLURM` names its folder. One test at a time:
//! some of them crash its controller.

mod circle;
mod conformance;
mod crashes;
mod ends;
mod sight;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use crate::support::{
    skip,
    stack::{Stack, wait_until},
};

static TURN: Mutex<()> = Mutex::const_new(());

/// A Slurm that runs, for as long as it is this test's turn.
struct Slurm {
    folder: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

/// The Slurm of this run of the tests, if there is one.
async fn slurm() -> Option<Slurm> {
    let Some(folder) = std::env::var_os("TRAINHOOK_TEST_SLURM") else {
        skip("a real Slurm: tests/engines/slurm.sh could not start one");
        return None;
    };
    let slurm = Slurm {
        folder: folder.into(),
        _turn: TURN.lock().await,
    };
    wait_until("an idle Slurm", || slurm.is_idle().then_some(())).await;
    Some(slurm)
}

impl Slurm {
    fn conf(&self) -> PathBuf {
        self.folder.join("etc/slurm.conf")
    }

    /// Runs one of Slurm's commands as an operator would.
    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let run = Command::new(command)
            .args(arguments)
            .env("SLURM_CONF", self.conf())
            .output();
        run.expect("Slurm's commands are there")
    }

    /// Whether nothing is left of other tests; ends what is, and brings back nodes that were lost.
    fn is_idle(&self) -> bool {
        let said = |command: &str, arguments: &[&str]| {
            let output = self.run(command, arguments).stdout;
            String::from_utf8_lossy(&output).trim().to_owned()
        };
        let nodes = said(
            "sinfo",
            &["--noheader", "--Node", "--partition=main", "--format=%T"],
        );
        if nodes == "idle\nidle" && said("squeue", &["--noheader"]).is_empty() {
            return true;
        }
        for partition in ["main", "urgent"] {
            self.run("scancel", &["--quiet", &format!("--partition={partition}")]);
        }
        if nodes.contains("down") || nodes.contains("drained") {
            self.run(
                "scontrol",
                &["update", "nodename=node[1-2]", "state=resume"],
            );
        }
        false
    }

    /// Waits until the controller has written down its jobs as they stand, which it does only now and then.
    async fn save(&self) {
        let before = std::time::SystemTime::now();
        let listed = self.run("squeue", &["--noheader", "--format=%i"]).stdout;
        for number in String::from_utf8_lossy(&listed).split_whitespace() {
            let number = format!("jobid={number}");
            self.run("scontrol", &["update", &number, "comment=changed"]);
        }
        let saved = || {
            fs::metadata(self.folder.join("state/job_state"))
                .ok()?
                .modified()
                .ok()
        };
        wait_until("a save", || saved().filter(|at| *at > before).map(|_| ())).await;
    }

    /// Fills both nodes until it is ended by its name.
    fn fill(&self, name: &str) {
        let name = format!("--job-name={name}");
        let arguments = [
            &*name,
            "--nodes=2",
            "--exclusive",
            "--output=/dev/null",
            "--wrap=sleep 600",
        ];
        assert!(self.run("sbatch", &arguments).status.success());
    }

    /// The script that starts and stops it.
    fn script(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engines/slurm.sh");
        let done = Command::new(script)
            .arg(verb)
            .env("SLURM_TEST_DIR", &self.folder)
            .status();
        assert!(done.expect("bash is there").success(), "{verb}");
    }

    /// The table of an executor, without its head.
    fn table(&self, more: &str) -> String {
        format!(
            "kind = \"slurm\"\nconf = \"{}\"\npoll_interval = \"200ms\"\npoll_pause = \"200ms\"\nmax_running = 4\n{more}\n",
            self.conf().display()
        )
    }

    async fn stack(&self, more: &str, models: &str) -> Stack {
        let executor = format!("[executors.local]\n{}", self.table(more));
        Stack::start_with(&format!("{executor}{models}")).await
    }
}

fn state(stack: &Stack, id: &str) -> Value {
    stack.job(id)["job"]["state"].clone()
}

async fn wait_for_state(stack: &Stack, id: &str, wanted: &str) {
    let what = format!("the state {wanted}");
    wait_until(&what, || (state(stack, id) == wanted).then_some(())).await;
}

fn message(job: &Value) -> &str {
    job["job"]["message"].as_str().unwrap_or_default()
}
