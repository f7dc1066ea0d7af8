//! Handles: of attempts that run, that are over, and that nobody has ever heard of.

use std::time::Duration;

use super::{
    Complaint, Promise, Tried, list,
    stand::Stand,
    trial::{Trial, ended},
};
use crate::{
    executor::{Executor, QueryError},
    job::{Handle, Job, JobId, LaunchId, Observation, Phase},
};

pub(super) fn promises() -> [Promise; 6] {
    list![
        (
            "observe_running",
            "what runs is seen running",
            sees_what_runs
        ),
        (
            "observe_ended",
            "what has ended is seen as ended, or is gone",
            sees_what_ended
        ),
        (
            "observe_together",
            "many handles are looked at in one call, each answered by itself and in order",
            looks_at_many
        ),
        (
            "unknown",
            "a launch that nobody knows is gone; to cancel and to clean it up is no error",
            knows_nothing
        ),
        (
            "foreign",
            "a handle that cannot be understood is an error, and no outcome",
            refuses_foreign
        ),
        (
            "cleanup",
            "cleaning up what has ended works, also twice",
            cleans_up
        ),
    ]
}

async fn one_look(executor: &dyn Executor, handle: &Handle) -> Result<Observation, Complaint> {
    let mut answers = executor.observe(std::slice::from_ref(handle)).await;
    match (answers.len(), answers.pop()) {
        (1, Some(answer)) => answer.map_err(|error| error.to_string().into()),
        (count, _) => Err(format!("one handle got {count} answers").into()),
    }
}

fn is_over(phase: &Phase) -> bool {
    matches!(phase, Phase::Exited(_) | Phase::Gone)
}

pub(super) fn handle_of(job: &Job) -> Result<Handle, Complaint> {
    let handle = job.handle.clone();
    handle.ok_or_else(|| "the job has no handle".to_owned().into())
}

/// The handle of a launch that has never been: one of ours with another name.
fn unknown(handle: &Handle) -> Handle {
    let launch_id = LaunchId {
        job: JobId::new(jiff::Timestamp::now()),
        attempt: 1,
    };
    Handle {
        launch_id,
        ..handle.clone()
    }
}

async fn over(stand: &Stand) -> Result<Handle, Complaint> {
    let job = Trial::new(stand, "exit 0").succeed(stand).await?;
    handle_of(&job)
}

async fn sees_what_runs(stand: &mut Stand) -> Tried {
    let job = Trial::until_stopped(stand).run(stand).await?;
    let executor = stand.executor()?;
    let handle = handle_of(&job)?;
    let look = || async {
        let seen = one_look(&*executor, &handle).await?;
        Ok((seen.phase == Phase::Running).then_some(()))
    };
    let seen = stand
        .until("the phase running", stand.patience(), look)
        .await;
    stand.cancel(job.id).await?;
    ended(stand, job.id).await?;
    seen
}

async fn sees_what_ended(stand: &mut Stand) -> Tried {
    let handle = over(stand).await?;
    let executor = stand.executor()?;
    let look = || async {
        let seen = one_look(&*executor, &handle).await?;
        Ok((is_over(&seen.phase) && !seen.leftovers).then_some(()))
    };
    stand.until("its end", stand.patience(), look).await
}

async fn looks_at_many(stand: &mut Stand) -> Tried {
    let ended_one = over(stand).await?;
    let job = Trial::until_stopped(stand).run(stand).await?;
    let running = handle_of(&job)?;
    let executor = stand.executor()?;
    let look = || async {
        let handles = [
            &ended_one,
            &running,
            &unknown(&ended_one),
            &running,
            &ended_one,
        ];
        let answers = executor.observe(&handles.map(Clone::clone)).await;
        if answers.len() != handles.len() {
            return Err(Complaint::Broken(format!(
                "5 handles got {} answers",
                answers.len()
            )));
        }
        let expected = [true, false, true, false, true];
        let as_expected = answers.iter().zip(expected).all(|(answer, over)| {
            answer
                .as_ref()
                .is_ok_and(|seen| is_over(&seen.phase) == over)
        });
        Ok(as_expected.then_some(()))
    };
    let what = "answers in the order of the handles";
    let seen = stand.until(what, stand.patience(), look).await;
    stand.cancel(job.id).await?;
    ended(stand, job.id).await?;
    seen
}

async fn knows_nothing(stand: &mut Stand) -> Tried {
    let handle = unknown(&over(stand).await?);
    let executor = stand.executor()?;
    let seen = one_look(&*executor, &handle).await?;
    if !is_over(&seen.phase) {
        return Err(format!("it is seen as {:?}", seen.phase).into());
    }
    let refused = |error: QueryError| Complaint::Broken(error.to_string());
    let cancelled = executor.cancel(&handle, Duration::ZERO).await;
    cancelled.map_err(refused)?;
    executor.cleanup(&handle).await.map_err(refused)
}

async fn refuses_foreign(stand: &mut Stand) -> Tried {
    let handle = over(stand).await?;
    let foreign = Handle {
        launch_id: handle.launch_id,
        version: u32::MAX,
        data: serde_json::json!({ "from": "the future" }),
        place: None,
    };
    let answers = stand.executor()?.observe(&[foreign, handle]).await;
    match answers.as_slice() {
        [Err(_), Ok(_)] => Ok(()),
        other => Err(format!("it was answered {other:?}").into()),
    }
}

async fn cleans_up(stand: &mut Stand) -> Tried {
    let handle = over(stand).await?;
    let executor = stand.executor()?;
    let look = || async { Ok(executor.cleanup(&handle).await.ok()) };
    stand.until("its cleanup", stand.patience(), look).await?;
    let again = executor.cleanup(&handle).await;
    again.map_err(|error| error.to_string())?;
    let seen = one_look(&*executor, &handle).await?;
    match is_over(&seen.phase) {
        true => Ok(()),
        false => Err(format!("then it is seen as {:?}", seen.phase).into()),
    }
}
