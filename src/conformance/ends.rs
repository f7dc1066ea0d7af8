//! How commands end, and what is made of it.

use super::{
    Promise, Tried, list,
    stand::Stand,
    trial::{Trial, failed_with},
};
use crate::{executor::Launch, job::Cause};

pub(super) fn promises() -> [Promise; 9] {
    list![
        (
            "reachable",
            "the engine says that it is usable",
            is_reachable
        ),
        (
            "exit_0",
            "a command that exits 0 has succeeded, after one start",
            exit_0
        ),
        (
            "plan",
            "what would be submitted can be shown",
            shows_its_plan
        ),
        ("exit_1", "exit code 1 is a failure of the job", exit_1),
        (
            "exit_3",
            "exit code 3 is a failure of the job, and told",
            exit_3
        ),
        ("exit_75", "exit code 75 is infrastructure's", exit_75),
        (
            "exit_137",
            "exit code 137 is no success, and told",
            exit_137
        ),
        (
            "signal_9",
            "a command that is killed has failed, and how is told",
            signal_9
        ),
        (
            "retry",
            "after exit code 75 a new attempt runs under a launch id of its own",
            tries_again
        ),
    ]
}

async fn is_reachable(stand: &mut Stand) -> Tried {
    let checked = stand.executor()?.check().await;
    checked.map(drop).map_err(|error| error.to_string().into())
}

async fn exit_0(stand: &mut Stand) -> Tried {
    Trial::new(stand, "exit 0").succeed(stand).await.map(drop)
}

async fn shows_its_plan(stand: &mut Stand) -> Tried {
    let job = Trial::new(stand, "exit 0").finish(stand).await?;
    let seen = stand.notes().launch(job.launch_id()).launch;
    let launch: Launch = seen.ok_or_else(|| "it was never submitted".to_owned())?;
    let plan = stand.executor()?.plan(&launch).await;
    let plan = plan.map_err(|error| error.to_string())?;
    match plan.trim() {
        "" => Err("the plan is empty".to_owned().into()),
        _ => Ok(()),
    }
}

async fn exits_with(stand: &Stand, code: i32, causes: &[Cause]) -> Tried {
    let job = Trial::new(stand, &format!("exit {code}"))
        .finish(stand)
        .await?;
    failed_with(&job, causes, &format!("exit code {code}"))
}

async fn exit_1(stand: &mut Stand) -> Tried {
    exits_with(stand, 1, &[Cause::JobError]).await
}

async fn exit_3(stand: &mut Stand) -> Tried {
    exits_with(stand, 3, &[Cause::JobError]).await
}

async fn exit_75(stand: &mut Stand) -> Tried {
    exits_with(stand, 75, &[Cause::Infra]).await
}

async fn exit_137(stand: &mut Stand) -> Tried {
    // Shells say so of a program that was killed, by the kernel for its memory for example.
    exits_with(stand, 137, &[Cause::JobError, Cause::OutOfMemory]).await
}

async fn signal_9(stand: &mut Stand) -> Tried {
    let job = Trial::new(stand, "kill -KILL $$").finish(stand).await?;
    let causes = [Cause::JobError, Cause::OutOfMemory];
    failed_with(&job, &causes, "killed by signal 9")
}

async fn tries_again(stand: &mut Stand) -> Tried {
    let script = "[ \"$TRAINHOOK_ATTEMPT\" = 2 ] || exit 75";
    let mut trial = Trial::new(stand, script);
    (trial.entry.retry.max, trial.entry.retry.backoff_ms) = (1, 10);
    let job = trial.succeed(stand).await?;
    match job.attempt {
        2 => Ok(()),
        other => Err(format!("it ended with attempt {other}").into()),
    }
}
