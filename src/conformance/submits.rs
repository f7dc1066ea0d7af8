//! Submitting: once, twice, and with the answer lost on the way.

use super::{
    Complaint, Promise, Tried, list,
    observed::{LOST, SeenLaunch, TWICE},
    stand::Stand,
    trial::{Trial, ended, ended_well},
};
use crate::{
    executor::{Found, Launch},
    job::{Handle, Job, JobId, JobState, LaunchId, Phase},
};

/// How long a command runs that a server shall find, in seconds. On a busy machine one may have ended, and told so itself,
/// before the server looks for it; then a longer one is tried.
const LASTING: [u32; 3] = [3, 12, 48];

pub(super) fn promises() -> [Promise; 5] {
    list![
        (
            "submit_twice",
            "a launch that is submitted twice runs once",
            submitted_twice
        ),
        (
            "submit_lost",
            "a launch whose answer was lost is found or submitted again, and runs once",
            answer_lost
        ),
        (
            "find_running",
            "what runs is found under its launch id, or the engine cannot tell",
            finds_what_runs
        ),
        (
            "find_unknown",
            "what was never submitted is not found",
            finds_nothing
        ),
        (
            "restart",
            "the next server, with nothing but the handle, follows what runs",
            follows_after_restart
        ),
    ]
}

async fn submitted_twice(stand: &mut Stand) -> Tried {
    let trial = Trial::new(stand, "sleep 2").with_accident(TWICE);
    let job = trial.finish(stand).await?;
    ended_well(stand, &job)?;
    let seen = stand.notes().launch(job.launch_id());
    if seen.handles.len() < 2 {
        return Err("it was not submitted twice".to_owned().into());
    }
    all_end(stand, seen).await
}

async fn answer_lost(stand: &mut Stand) -> Tried {
    for seconds in LASTING {
        let trial = Trial::new(stand, &format!("sleep {seconds}")).with_accident(LOST);
        let job = trial.finish(stand).await?;
        ended_well(stand, &job)?;
        let seen = stand.notes().launch(job.launch_id());
        if !seen.found.is_empty() {
            return all_end(stand, seen).await;
        }
    }
    Err("the server did not look for it".to_owned().into())
}

/// What lost the claim must not stay on the engine.
async fn all_end(stand: &Stand, seen: SeenLaunch) -> Tried {
    let (executor, handles) = (stand.executor()?, seen.handles);
    let look = || async {
        let answers = executor.observe(&handles).await;
        let over = |phase: &Phase| matches!(phase, Phase::Exited(_) | Phase::Gone);
        let all_over = answers.iter().all(|answer| {
            let observation = answer.as_ref().ok();
            observation.is_some_and(|one| over(&one.phase) && !one.leftovers)
        });
        Ok(all_over.then_some(()))
    };
    let what = "the end of every submit";
    stand.until(what, stand.patience(), look).await
}

async fn finds_what_runs(stand: &mut Stand) -> Tried {
    let job = Trial::until_stopped(stand).run(stand).await?;
    let found = find(stand, &launch_of(stand, &job)?).await;
    stand.cancel(job.id).await?;
    let found = found?;
    ended(stand, job.id).await?;
    match found {
        Found::Attempts(handles) if of_launch(&handles, job.launch_id()) => Ok(()),
        Found::Unknowable => Ok(()),
        other => Err(format!("it was found as {other:?}").into()),
    }
}

fn of_launch(handles: &[Handle], launch_id: LaunchId) -> bool {
    !handles.is_empty() && handles.iter().all(|handle| handle.launch_id == launch_id)
}

async fn finds_nothing(stand: &mut Stand) -> Tried {
    let job = Trial::new(stand, "exit 0").succeed(stand).await?;
    let mut launch = launch_of(stand, &job)?;
    launch.id = LaunchId {
        job: JobId::new(jiff::Timestamp::now()),
        attempt: 1,
    };
    launch.attempt_dir = launch.attempt_dir.with_file_name("a99");
    match find(stand, &launch).await? {
        Found::Absent | Found::Unknowable => Ok(()),
        Found::Attempts(handles) => Err(format!("it was found as {handles:?}").into()),
    }
}

async fn find(stand: &Stand, launch: &Launch) -> Result<Found, Complaint> {
    let found = stand.executor()?.find(launch).await;
    found.map_err(|error| error.to_string().into())
}

pub(super) fn launch_of(stand: &Stand, job: &Job) -> Result<Launch, Complaint> {
    let launch = stand.notes().launch(job.launch_id()).launch;
    launch.ok_or_else(|| "it was never submitted".to_owned().into())
}

async fn follows_after_restart(stand: &mut Stand) -> Tried {
    for seconds in LASTING {
        let trial = Trial::new(stand, &format!("sleep {seconds}"));
        let id = trial.start(stand).await?;
        let has_begun = |job: &Job| job.state == JobState::Running || job.state.is_terminal();
        let job = stand.wait_for(id, "its start", has_begun).await?;
        let submits = stand.notes().launch(job.launch_id()).handles.len();
        stand.restart().await?;
        let still_runs = !stand.job(id).await?.state.is_terminal();
        let job = ended(stand, id).await?;
        ended_well(stand, &job)?;
        if stand.notes().launch(job.launch_id()).handles.len() != submits {
            return Err("the next server submitted it again".to_owned().into());
        }
        if still_runs {
            return Ok(());
        }
    }
    Err("its end came before the next server did".to_owned().into())
}
