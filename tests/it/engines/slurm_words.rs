//! Slurm's words, understood: its commands are played by scripts, so this needs no Slurm.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use trainhook::{
    config::{Secret, Table},
    executor::{CancelOutcome, Executor, Found, SubmitError},
    job::{Cause, Exit, Handle, LaunchId, Phase},
};

use super::{build, launch};

/// Slurm's commands as scripts in a folder.
struct Played {
    folder: TempDir,
    executor: Arc<dyn Executor>,
}

impl Played {
    fn new() -> Self {
        Self::with("")
    }

    fn with(table: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let executor = build("slurm", folder.path(), &format!("bin = \".\"\n{table}"));
        let played = Self { folder, executor };
        played.plays("squeue", "");
        played.plays(
            "sacct",
            "echo 'Slurm accounting storage is disabled' >&2; exit 1",
        );
        played.plays("scancel", "");
        played
    }

    /// From now on the command is this line of sh; it notes its arguments in a file.
    fn plays(&self, command: &str, script: &str) {
        let folder = self.folder.path();
        let file = folder.join(command);
        let noted = folder.join(format!("{command}.arguments"));
        let text = format!("#!/bin/sh\necho \"$*\" >> {}\n{script}\n", noted.display());
        fs::write(&file, text).expect("the folder is writable");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).expect("it is ours");
    }

    fn arguments(&self, command: &str) -> String {
        let noted = self.folder.path().join(format!("{command}.arguments"));
        fs::read_to_string(noted).unwrap_or_default()
    }

    /// `squeue` says this of the launch.
    fn queue(&self, state: &str, partition: &str, reason: &str) {
        let (name, user) = (launch(Path::new("/")).id, user());
        self.plays(
            "squeue",
            &format!("echo '7/{name}/{user}/{state}/{partition}/{reason}'"),
        );
    }

    /// `sacct` says this of the launch.
    fn accounting(&self, state: &str) {
        let (name, user) = (launch(Path::new("/")).id, user());
        self.plays("sacct", &format!("echo '7|{name}|{user}|{state}|main'"));
    }

    async fn look(&self) -> Result<(Phase, Option<String>), String> {
        let mut seen = self.executor.observe(&[handle()]).await;
        let seen = seen.pop().expect("one answer");
        seen.map(|seen| (seen.phase, seen.reason))
            .map_err(|error| error.to_string())
    }

    async fn submit(&self) -> Result<Handle, SubmitError> {
        self.executor.submit(&launch(self.folder.path())).await
    }
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

fn handle() -> Handle {
    Handle {
        launch_id: launch(Path::new("/")).id,
        version: 1,
        data: json!({ "job_id": "7", "submitted_at": "2026-11-23T10:00:00Z" }),
    }
}

fn exited(cause: Option<Cause>) -> Phase {
    Phase::Exited(Exit {
        cause,
        ..Exit::default()
    })
}

#[tokio::test]
async fn every_state_of_the_queue_has_its_phase() {
    let slurm = Played::new();
    let done = Phase::Exited(Exit {
        code: Some(0),
        ..Exit::default()
    });
    for (state, phase) in [
        ("PENDING", Phase::Queued),
        ("REQUEUED", Phase::Queued),
        ("SUSPENDED", Phase::Queued),
        ("CONFIGURING", Phase::Starting),
        ("RUNNING", Phase::Running),
        ("SIGNALING", Phase::Running),
        ("COMPLETING", Phase::Stopping),
        ("STAGE_OUT", Phase::Stopping),
        ("COMPLETED", done),
        ("FAILED", exited(None)),
        ("CANCELLED", exited(Some(Cause::JobError))),
        ("TIMEOUT", exited(Some(Cause::RunTimeout))),
        ("OUT_OF_MEMORY", exited(Some(Cause::OutOfMemory))),
        ("NODE_FAIL", exited(Some(Cause::NodeLost))),
        ("BOOT_FAIL", exited(Some(Cause::NodeLost))),
        ("PREEMPTED", exited(Some(Cause::Preempted))),
        ("HIBERNATING", Phase::Unknown("HIBERNATING".to_owned())),
    ] {
        slurm.queue(state, "main", "None");
        let seen = slurm.look().await.expect("an answer");
        assert_eq!(seen.0, phase, "{state}");
    }
}

#[tokio::test]
async fn people_read_why_a_job_waits() {
    let slurm = Played::new();
    for (reason, words) in [
        ("Resources", Some("partition a100 is full")),
        ("Priority", Some("others come first in partition a100")),
        ("JobHeldAdmin", Some("held by an operator of Slurm")),
        (
            "QOSMaxGRESPerUser",
            Some("a limit of its QOS is reached (QOSMaxGRESPerUser)"),
        ),
        (
            "AssocGrpCPUMinutesLimit",
            Some("a limit of its account is reached (AssocGrpCPUMinutesLimit)"),
        ),
        (
            "ReqNodeNotAvail, UnavailableNodes:node[1/2]",
            Some(
                "nodes that it needs are not available (ReqNodeNotAvail, UnavailableNodes:node[1/2])",
            ),
        ),
        ("Brownout", Some("Slurm says Brownout")),
        ("None", None),
    ] {
        slurm.queue("PENDING", "a100", reason);
        let seen = slurm.look().await.expect("an answer");
        assert_eq!(seen.1.as_deref(), words, "{reason}");
    }
}

#[tokio::test]
async fn what_the_queue_has_forgotten_the_accounting_knows() {
    let slurm = Played::new();
    assert_eq!(
        slurm.look().await,
        Ok((Phase::Gone, None)),
        "there is no accounting"
    );
    let slurm = Played::new();
    for (state, phase) in [
        ("CANCELLED by 1000", exited(Some(Cause::JobError))),
        ("OUT_OF_MEMORY", exited(Some(Cause::OutOfMemory))),
        // The controller has lost it in a crash.
        ("RUNNING", Phase::Gone),
    ] {
        slurm.accounting(state);
        assert_eq!(slurm.look().await.expect("an answer").0, phase, "{state}");
    }
    slurm.accounting("CANCELLED by 1000");
    let reason = slurm.look().await.expect("an answer").1;
    assert_eq!(reason.as_deref(), Some("cancelled in Slurm by user 1000"));
    slurm.plays("sacct", "");
    assert_eq!(
        slurm.look().await,
        Ok((Phase::Gone, None)),
        "nobody knows it"
    );
}

#[tokio::test]
async fn an_accounting_that_is_down_ends_no_job() {
    let slurm = Played::new();
    slurm.plays(
        "sacct",
        "echo 'sacct: error: Problem talking to the database' >&2; exit 1",
    );
    let error = slurm.look().await.expect_err("no answer");
    assert!(error.contains("Problem talking to the database"), "{error}");
    slurm.queue("RUNNING", "main", "None");
    assert_eq!(
        slurm.look().await.expect("an answer").0,
        Phase::Running,
        "it is not asked then"
    );
}

#[tokio::test]
async fn a_queue_that_does_not_answer_ends_no_job() {
    let slurm = Played::with("call_timeout = \"1s\"");
    slurm.plays(
        "squeue",
        "echo 'squeue: error: Unable to contact slurm controller' >&2; exit 1",
    );
    let error = slurm.look().await.expect_err("no answer");
    assert_eq!(
        error,
        "squeue: squeue: error: Unable to contact slurm controller"
    );
    slurm.plays("squeue", "sleep 600");
    let error = slurm.look().await.expect_err("no answer");
    assert!(error.ends_with("did not answer within 1 s"), "{error}");
}

#[tokio::test]
async fn a_number_is_no_proof_neither_of_another_name_nor_of_another_user() {
    let slurm = Played::new();
    let (name, stranger) = (handle().launch_id, user() + 1);
    let foreign = format!(
        "7/{name}/{stranger}/RUNNING/main/None\\n7/other/{}/RUNNING/main/None",
        user()
    );
    slurm.plays("squeue", &format!("printf '{foreign}\\n'"));
    assert_eq!(slurm.look().await, Ok((Phase::Gone, None)));
    let ended = slurm.executor.cancel(&handle(), Duration::ZERO).await;
    assert_eq!(ended, Ok(CancelOutcome::AlreadyEnded));
    assert_eq!(slurm.arguments("scancel"), "");
}

#[tokio::test]
async fn two_jobs_of_one_name_are_one_attempt_and_the_liveliest_speaks() {
    let slurm = Played::new();
    let (name, user) = (handle().launch_id, user());
    let line = |id: u32, state: &str| format!("{id}/{name}/{user}/{state}/main/None\\n");
    let lines = line(7, "FAILED") + &line(8, "RUNNING") + &line(9, "COMPLETED");
    slurm.plays("squeue", &format!("printf '{lines}'"));
    assert_eq!(slurm.look().await.expect("an answer").0, Phase::Running);
    let found = slurm.executor.find(&launch(Path::new("/"))).await;
    assert!(matches!(found, Ok(Found::Attempts(handles)) if handles.len() == 3));
}

#[tokio::test]
async fn many_attempts_are_one_look() {
    let slurm = Played::new();
    let handles: Vec<Handle> = (1..=400)
        .map(|attempt| Handle {
            launch_id: LaunchId {
                attempt,
                ..handle().launch_id
            },
            ..handle()
        })
        .collect();
    let seen = slurm.executor.observe(&handles).await;
    assert_eq!(seen.len(), 400);
    assert_eq!(slurm.arguments("squeue").lines().count(), 1);
    assert_eq!(slurm.arguments("sacct").lines().count(), 1);
}

#[tokio::test]
async fn a_job_is_ended_by_its_name_and_our_user() {
    let slurm = Played::new();
    slurm.queue("RUNNING", "main", "None");
    let outcome = slurm.executor.cancel(&handle(), Duration::ZERO).await;
    assert_eq!(outcome, Ok(CancelOutcome::Requested));
    let expected = format!("--quiet --user={} --name={}\n", user(), handle().launch_id);
    assert_eq!(slurm.arguments("scancel"), expected);
    let cleaned = slurm.executor.cleanup(&handle()).await;
    assert!(cleaned.is_err(), "it is still there");
    slurm.queue("CANCELLED", "main", "None");
    assert_eq!(slurm.executor.cleanup(&handle()).await, Ok(()));
}

#[tokio::test]
async fn what_a_refusal_means() {
    let slurm = Played::new();
    for (said, code, text) in [
        (
            "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified",
            1,
            "rejected",
        ),
        (
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
            1,
            "rejected",
        ),
        (
            "sbatch: error: Invalid --time specification",
            255,
            "rejected",
        ),
        (
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            1,
            "transient",
        ),
        (
            "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
            1,
            "transient",
        ),
        (
            "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
            1,
            "ambiguous",
        ),
    ] {
        slurm.plays(
            "sbatch",
            &format!("printf '%s\\n' \"{said}\" >&2; exit {code}"),
        );
        let refused = slurm.submit().await.expect_err(said);
        let word = match &refused {
            SubmitError::Rejected(_) => "rejected",
            SubmitError::Transient(_) => "transient",
            SubmitError::Ambiguous(_) => "ambiguous",
        };
        assert_eq!(word, text, "{refused}");
        assert!(refused.to_string().starts_with("sbatch: "), "{refused}");
    }
    slurm.plays("sbatch", "echo done");
    let submitted = slurm.submit().await;
    assert!(
        matches!(submitted, Err(SubmitError::Ambiguous(_))),
        "{submitted:?}"
    );
    slurm.plays("sbatch", "echo '41;big'");
    assert_eq!(slurm.submit().await.expect("taken").data["job_id"], "41");
}

#[tokio::test]
async fn resources_and_settings_become_arguments() {
    let slurm =
        Played::with("partition = \"a100\"\naccount = \"ml\"\nargs = [\"--mail-type=FAIL\"]");
    let mut launch = launch(slurm.folder.path());
    launch.resources.gpus = 2;
    launch.resources.cpus = Some(8);
    launch.resources.memory = Some(16_000_000_000);
    let table = Table::parse(
        "qos = \"high\"\ngpu_type = \"a100\"\nnodes = 2\naccount = \"cv\"\nargs = [\"--nice=10\"]",
    );
    launch.settings = table.expect("a table").as_json();
    launch
        .env
        .insert("KEY".to_owned(), Secret::new("s3cret-value"));
    slurm.plays("sbatch", "cat > script; echo 5");
    slurm.executor.submit(&launch).await.expect("taken");
    let arguments = slurm.arguments("sbatch");
    for argument in [
        "--job-name=th-019a00000000700080000000000000ab-a1",
        "--no-requeue",
        "--export=NONE",
        "--gres=gpu:a100:2",
        "--cpus-per-task=8",
        "--mem=15259M",
        "--time=71",
        "--partition=a100",
        "--account=cv",
        "--qos=high",
        "--nodes=2 --ntasks-per-node=1",
        "--mail-type=FAIL --nice=10",
    ] {
        assert!(arguments.contains(argument), "{argument}: {arguments}");
    }
    let read = |name: &str| fs::read_to_string(slurm.folder.path().join(name)).expect(name);
    assert!(!read("script").contains("s3cret") && !arguments.contains("s3cret"));
    assert!(read(".slurm-environment").contains("export KEY='s3cret-value'\n"));
    let mode = fs::metadata(slurm.folder.path().join(".slurm-environment")).expect("it is there");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn its_tables_are_checked() {
    let folder = Path::new("/");
    let mut table =
        Table::parse("args = [\"--job-name=x\", \"mail\"]\npartition = \"a b\"\nnode = 2")
            .expect("a table");
    build("slurm", folder, "").check_model(&mut table);
    let mistakes: Vec<String> = table.finish().iter().map(ToString::to_string).collect();
    let mistakes = mistakes.join("\n");
    for expected in [
        "line 1: args: --job-name is given by trainhook itself",
        "line 1: args: \"mail\" is no option",
        "line 2: partition: must be a word",
        "line 3: node: unknown key; did you mean `nodes`?",
    ] {
        assert!(mistakes.contains(expected), "{expected}: {mistakes}");
    }
}

#[tokio::test]
async fn a_job_that_ended_in_between_is_no_error() {
    let slurm = Played::new();
    slurm.queue("RUNNING", "main", "None");
    for code in [225, 229] {
        slurm.plays("scancel", &format!("exit {code}"));
        let outcome = slurm.executor.cancel(&handle(), Duration::ZERO).await;
        assert_eq!(outcome, Ok(CancelOutcome::Requested), "{code}");
    }
    slurm.plays(
        "scancel",
        "echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1",
    );
    let outcome = slurm.executor.cancel(&handle(), Duration::ZERO).await;
    assert!(outcome.is_err(), "{outcome:?}");
}
