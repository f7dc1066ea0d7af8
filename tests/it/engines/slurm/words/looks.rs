//! Where jobs are, in the words of `squeue` and `sacct`.

use std::path::Path;

use trainhook::{
    executor::Found,
    job::{Cause, Exit, Handle, LaunchId, Phase},
};

use super::{Played, handle, user};
use crate::engines::launch;

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
