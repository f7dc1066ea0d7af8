//! Many at once, and nothing left of them at the end.

use super::{
    Complaint, Promise, Tried, list,
    stand::Stand,
    trial::{Trial, ended, ended_well},
};
use crate::job::Phase;

/// Jobs at once.
const MANY: usize = 10;

pub(super) fn promises() -> [Promise; 2] {
    list![
        (
            "ten_at_once",
            "ten jobs at once each run once and succeed",
            runs_ten_at_once
        ),
        (
            "nothing_left",
            "at the end nothing of all this is left on the engine",
            leaves_nothing
        ),
    ]
}

async fn runs_ten_at_once(stand: &mut Stand) -> Tried {
    let mut ids = Vec::new();
    for _ in 0..MANY {
        ids.push(Trial::new(stand, "sleep 1").start(stand).await?);
    }
    for id in ids {
        let job = ended(stand, id).await?;
        ended_well(stand, &job)?;
    }
    Ok(())
}

async fn leaves_nothing(stand: &mut Stand) -> Tried {
    let look = || async { Ok(stand.leftovers().await?.is_empty().then_some(())) };
    stand
        .until("the removal of what was ended", stand.patience(), look)
        .await?;
    let (executor, handles) = (stand.executor()?, stand.notes().handles());
    let look = || async {
        let answers = executor.observe(&handles).await;
        let mut living = Vec::new();
        for (handle, answer) in handles.iter().zip(answers) {
            let seen = answer.map_err(|error| Complaint::Broken(error.to_string()))?;
            if seen.leftovers || !matches!(seen.phase, Phase::Exited(_) | Phase::Gone) {
                living.push(handle.launch_id.to_string());
            }
        }
        Ok(living.is_empty().then_some(()))
    };
    stand
        .until("the end of every attempt", stand.patience(), look)
        .await
}
