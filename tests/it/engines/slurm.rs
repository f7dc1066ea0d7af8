//! A real Slurm, as `tests/engines/slurm.sh` starts it and `TRAINHOOK_TEST_SLURM` names its folder. One test at a time:
//! some of them crash its controller.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};
use trainhook::emulator::Dataset;

use super::conformance::{conformance, names};
use crate::support::{
    skip,
    stack::{Stack, UNTIL_GO, job_id, model, settings, trainhook_in, wait_until, workspace},
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

#[tokio::test(flavor = "multi_thread")]
async fn slurm_keeps_every_promise() {
    let Some(slurm) = slurm().await else { return };
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let report = conformance(program, "", &slurm.table("")).await;
    assert_eq!(names(&report, "skip"), [""; 0], "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slurm_keeps_every_promise_without_shared_files() {
    let Some(slurm) = slurm().await else { return };
    let program = Path::new(env!("CARGO_BIN_EXE_trainhook"));
    let node = tempfile::tempdir().expect("a folder for the nodes");
    let table = format!(
        "shared_files = false\nwork_dir = \"{}\"\nsupervisor = \"path:{}\"",
        node.path().display(),
        program.display()
    );
    let server = "[server]\njobs_listen = \"127.0.0.1:0\"\n";
    let report = conformance(program, server, &slurm.table(&table)).await;
    assert_eq!(names(&report, "skip"), [""; 0], "{report}");
}

/// The example as `models.toml` has it, with its data exported and its predictions imported.
fn digits(settings: &str) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/digits");
    format!(
        "[models.digits]\nexecutor = \"local\"\ncommand = [\"python3\", \"train.py\"]\nworkdir = \"{}\"\n\
         export = {{ files = true }}\nparams = {{ epochs = 12, learning_rate = 0.3 }}\n\
         resources = {{ gpus = 1, cpus = 1, memory = \"500MB\" }}\nslurm = {{ partition = \"main\" }}\n{settings}\n",
        example.display()
    )
}

async fn digits_go_through_the_whole_circle(stack: &Stack) {
    let run = stack.run_with(&Dataset::digits());
    let id = job_id(&stack.click(&run, "digits").await);
    let told = stack.told(&run, "COMPLETE").await;
    let accuracy = told
        .last()
        .and_then(|entry| entry.metadata.as_ref()?.get("accuracy").cloned());
    let accuracy: f64 = accuracy
        .and_then(|text| text.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("{told:?}"));
    let arrived = stack.emulator.predictions(&run).expect("a run");
    let counted = arrived.features["digit"].accuracy.expect("a share");
    assert!((accuracy - counted).abs() < 0.0005, "{accuracy} {counted}");
    assert_eq!(state(stack, &id), "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_on_slurm() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm.stack("", &digits("")).await;
    digits_go_through_the_whole_circle(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digits_are_trained_on_slurm_without_shared_files() {
    let Some(slurm) = slurm().await else { return };
    let node = tempfile::tempdir().expect("a folder for the nodes");
    let table = format!(
        "[executors.local]\n{}",
        slurm.table(&format!(
            "shared_files = false\nwork_dir = \"{}\"\nsupervisor = \"path:{}\"",
            node.path().display(),
            env!("CARGO_BIN_EXE_trainhook")
        ))
    );
    let stack = Stack::start_whole(|endpoint| {
        let listening = "[server]\njobs_listen = \"127.0.0.1:0\"\n";
        let settings = settings().replace("[server]\n", listening);
        let workspace = workspace("main", "/", endpoint);
        settings + &workspace + &table + &digits("files = [\"train.py\"]")
    })
    .await;
    digits_go_through_the_whole_circle(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_partition_is_told_as_the_waiting_reason() {
    let Some(slurm) = slurm().await else { return };
    slurm.fill("others");
    let stack = slurm.stack("", &model("job", "true", "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let reasons = [
        "partition main is full",
        "others come first in partition main",
    ];
    wait_until("the reason", || {
        let waiting = stack.job(&id)["job"]["waiting"].clone();
        waiting
            .as_str()
            .filter(|text| reasons.contains(text))
            .map(|_| ())
    })
    .await;
    assert_eq!(state(&stack, &id), "pending");
    slurm.run("scancel", &["--name=others"]);
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_cancels_has_failed_and_says_so() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm.stack("", &model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    slurm.run("scancel", &["--partition=main"]);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert!(message(&job).contains("cancelled in Slurm"), "{job}");
    assert_eq!(
        stack.lines("runs"),
        ["1"],
        "nobody starts again what was cancelled"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_timeout_ends_a_job_on_slurm() {
    let Some(slurm) = slurm().await else { return };
    let settings = "run_timeout = \"1s\"\ncancel_grace = \"1s\"";
    let stack = slurm.stack("", &model("job", UNTIL_GO, settings)).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    assert_eq!(stack.job(&id)["job"]["cause"], "run_timeout");
}

const TRIED_AGAIN: &str =
    "echo $TRAINHOOK_ATTEMPT >> runs; while [ $TRAINHOOK_ATTEMPT = 1 ]; do sleep 0.05; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_lost_is_told_apart_and_the_job_tried_again() {
    let Some(slurm) = slurm().await else { return };
    let model = model(
        "job",
        TRIED_AGAIN,
        "retry = { max = 1, backoff = \"10ms\" }",
    );
    let stack = slurm.stack("args = [\"--nodelist=node1\"]", &model).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let node = |state: &str| {
        let state = format!("state={state}");
        slurm.run(
            "scontrol",
            &["update", "nodename=node1", &state, "reason=test"],
        );
    };
    node("down");
    let lost = || {
        stack
            .job(&id)
            .to_string()
            .contains("ended: node_lost")
            .then_some(())
    };
    wait_until("the loss", lost).await;
    node("resume");
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_preempted_is_told_apart_and_tried_again() {
    let Some(slurm) = slurm().await else { return };
    let model = model(
        "job",
        TRIED_AGAIN,
        "retry = { max = 1, backoff = \"10ms\" }",
    );
    let stack = slurm.stack("", &model).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    let urgent = [
        "--partition=urgent",
        "--nodes=2",
        "--exclusive",
        "--output=/dev/null",
        "--wrap=sleep 1",
    ];
    assert!(slurm.run("sbatch", &urgent).status.success());
    stack.told(&run, "COMPLETE").await;
    let job = stack.job(&id);
    assert!(job.to_string().contains("ended: preempted"), "{job}");
    assert_eq!(stack.lines("runs"), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_all_its_nodes_with_srun() {
    let Some(slurm) = slurm().await else { return };
    let script = "srun sh -c 'echo $SLURMD_NODENAME $ONE >> nodes'";
    let settings = "env = { ONE = \"1\" }\nslurm = { nodes = 2 }";
    let stack = slurm.stack("", &model("job", script, settings)).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.told(&run, "COMPLETE").await;
    let mut nodes = stack.lines("nodes");
    nodes.sort();
    assert_eq!(nodes, ["node1 1", "node2 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slurm_shows_no_secret() {
    let Some(slurm) = slurm().await else { return };
    let settings = "env = { TOKEN = { file = \"token\" } }";
    let stack = slurm
        .stack(
            "",
            &model("job", &format!("echo $TOKEN > got; {UNTIL_GO}"), settings),
        )
        .await;
    let secret = "a secret of the model";
    fs::write(stack.folder.path().join("token"), secret).expect("the folder is writable");
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    assert_eq!(stack.lines("got"), [secret]);
    let number = stack
        .folder
        .path()
        .join("jobs")
        .join(&id)
        .join("a1/.slurm-environment");
    assert!(!number.exists(), "it was read, and is gone");
    let listed = slurm.run("squeue", &["--noheader", "--format=%i"]);
    let number = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    let shown = slurm.run("scontrol", &["show", "job", "--details", &number]);
    let script = slurm.run("scontrol", &["write", "batch_script", &number, "-"]);
    for output in [shown, script] {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.is_empty() && !text.contains(secret), "{text}");
    }
    stack.go();
    stack.told(&run, "COMPLETE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_controller_ends_no_job() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm
        .stack("call_timeout = \"3s\"", &model("job", UNTIL_GO, ""))
        .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.wait_for_lines("runs", 1).await;
    slurm.save().await;
    slurm.script("crash");
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"], "{}", stack.job(&id));
}

/// The server dies when Slurm has taken the job and has not answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_it_submits_finds_the_job_again() {
    let Some(slurm) = slurm().await else { return };
    let slow = "case $1 in sbatch) \"$@\"; touch submitted; while [ -e hold ]; do sleep 0.05; done ;; \
                *) exec \"$@\" ;; esac";
    let slow = Value::from(slow);
    let prefix = format!("command_prefix = [\"sh\", \"-c\", {slow}, \"slow\"]");
    let mut stack = slurm.stack(&prefix, &model("job", UNTIL_GO, "")).await;
    let hold = stack.folder.path().join("hold");
    fs::write(&hold, "").expect("the folder is writable");
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let submitted = stack.folder.path().join("submitted");
    wait_until("the submit", || submitted.exists().then_some(())).await;
    assert_eq!(state(&stack, &id), "submitting");
    stack.server.kill();
    fs::remove_file(hold).expect("it is there");
    fs::remove_file(&submitted).expect("it is there");
    stack.restart().await;
    wait_for_state(&stack, &id, "running").await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"]);
    assert!(!submitted.exists(), "it was found, not submitted again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_a_job_waits_or_runs_follows_it() {
    let Some(slurm) = slurm().await else { return };
    slurm.fill("others");
    let mut stack = slurm.stack("", &model("job", UNTIL_GO, "")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    wait_for_state(&stack, &id, "pending").await;
    stack.server.kill();
    stack.restart().await;
    slurm.run("scancel", &["--name=others"]);
    stack.wait_for_lines("runs", 1).await;
    wait_for_state(&stack, &id, "running").await;
    stack.server.kill();
    stack.go();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_slurm_refuses_are_the_reason_people_read() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm
        .stack(
            "",
            &model("job", "true", "slurm = { partition = \"nope\" }"),
        )
        .await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    stack.told(&run, "FAILED").await;
    let job = stack.job(&id);
    assert_eq!(job["job"]["cause"], "rejected", "{job}");
    assert!(message(&job).contains("Invalid partition name"), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_slurm_for_its_partitions() {
    let Some(slurm) = slurm().await else { return };
    let stack = slurm
        .stack("partition = \"main\"", &model("job", "true", ""))
        .await;
    let output = trainhook_in(stack.folder.path(), &["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("partitions main, urgent"), "{text}");
}
