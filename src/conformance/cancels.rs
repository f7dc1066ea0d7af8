//! Ending what waits, what runs, what does not listen, and what is over.

use std::time::Duration;

use super::{
    Complaint, Promise, Tried,
    handles::handle_of,
    list,
    stand::{Stand, describe},
    trial::{Trial, ended, ended_well, noted, notes},
};
use crate::job::{Job, JobId, JobState};

/// So many jobs fill most engines that run the kit.
const CROWD: usize = 10;

pub(super) fn promises() -> [Promise; 6] {
    list![
        (
            "cancel_running",
            "a job that is cancelled gets SIGTERM, and ends",
            cancels_what_runs
        ),
        (
            "cancel_ignored",
            "a job that ignores SIGTERM is killed after the grace",
            kills_what_ignores
        ),
        (
            "cancel_by_engine",
            "the engine itself can end a job, with SIGTERM first",
            ends_by_engine
        ),
        (
            "kill_by_engine",
            "the engine itself ends a job that ignores SIGTERM",
            kills_by_engine
        ),
        (
            "cancel_queued",
            "a job in the engine's queue is cancelled without having run",
            cancels_what_waits
        ),
        (
            "cancel_ended",
            "to cancel what has ended changes nothing, and is no error",
            cancels_what_ended
        ),
    ]
}

fn is_cancelled(job: &Job) -> Tried {
    match job.state {
        JobState::Cancelled => Ok(()),
        _ => Err(format!("the job is {}", describe(job)).into()),
    }
}

async fn cancels_what_runs(stand: &mut Stand) -> Tried {
    let job = Trial::until_stopped(stand).run(stand).await?;
    stand.cancel(job.id).await?;
    let job = ended(stand, job.id).await?;
    is_cancelled(&job)?;
    was_asked(stand, &job)
}

fn was_asked(stand: &Stand, job: &Job) -> Tried {
    match notes(&stand.attempt_dir(job), "stopped")? {
        1 => Ok(()),
        count => Err(format!("its command saw SIGTERM {count} times").into()),
    }
}

async fn kills_what_ignores(stand: &mut Stand) -> Tried {
    let job = Trial::ignoring(stand).run(stand).await?;
    noted(stand, &job, "ready").await?;
    stand.cancel(job.id).await?;
    is_cancelled(&ended(stand, job.id).await?)
}

async fn ends_by_engine(stand: &mut Stand) -> Tried {
    let job = Trial::until_stopped(stand).run(stand).await?;
    end_on_engine(stand, &job, Duration::from_secs(5)).await?;
    was_asked(stand, &job)
}

async fn kills_by_engine(stand: &mut Stand) -> Tried {
    let job = Trial::ignoring(stand).run(stand).await?;
    noted(stand, &job, "ready").await?;
    end_on_engine(stand, &job, Duration::from_secs(1)).await
}

/// Goes behind the server's back, as its last resort does.
async fn end_on_engine(stand: &Stand, job: &Job, grace: Duration) -> Tried {
    let (executor, handle) = (stand.executor()?, handle_of(job)?);
    for _again in 0..2 {
        let cancelled = executor.cancel(&handle, grace).await;
        cancelled.map_err(|error| error.to_string())?;
    }
    let ended = ended(stand, job.id).await?;
    match ended.state {
        JobState::Failed => Ok(()),
        _ => Err(format!("the job is {}", describe(&ended)).into()),
    }
}

async fn cancels_what_waits(stand: &mut Stand) -> Tried {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(Trial::until_stopped(stand).start(stand).await?);
    }
    let tried = cancel_a_waiting_one(stand, &crowd).await;
    for id in &crowd {
        stand.cancel(*id).await?;
    }
    for id in crowd {
        ended(stand, id).await?;
    }
    tried
}

async fn cancel_a_waiting_one(stand: &Stand, crowd: &[JobId]) -> Tried {
    let look = || async {
        let mut running = 0;
        for id in crowd {
            let job = stand.job(*id).await?;
            running += usize::from(job.state == JobState::Running);
            if stand.notes().launch(job.launch_id()).is_queued() {
                return Ok(Some(Some(job)));
            }
        }
        Ok((running == CROWD).then_some(None))
    };
    let waiting = stand
        .until("a job in the engine's queue", stand.patience(), look)
        .await;
    let Ok(Some(waiting)) = waiting else {
        let why =
            format!("the engine let {CROWD} jobs begin at once: none waited in a queue of its own");
        return Err(Complaint::NotTried(why));
    };
    stand.cancel(waiting.id).await?;
    let job = ended(stand, waiting.id).await?;
    is_cancelled(&job)?;
    match notes(&stand.attempt_dir(&job), "started")? {
        0 => Ok(()),
        _ => Err("it ran all the same".to_owned().into()),
    }
}

async fn cancels_what_ended(stand: &mut Stand) -> Tried {
    let job = Trial::new(stand, "exit 0").succeed(stand).await?;
    let (executor, handle) = (stand.executor()?, handle_of(&job)?);
    for _again in 0..2 {
        let cancelled = executor.cancel(&handle, Duration::ZERO).await;
        cancelled.map_err(|error| error.to_string())?;
    }
    ended_well(stand, &stand.job(job.id).await?)
}
