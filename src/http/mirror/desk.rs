//! One at a time for each attempt: a request that was given up by its sender may still be at work when its repeat comes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::OwnedMutexGuard;

use super::outputs::{Placed, Usage};
use crate::job::LaunchId;

/// Beyond this many, those that nobody uses are put away.
const LIMIT: usize = 4096;

/// Whoever has waited for a desk this long may ask again: a supervisor takes a longer silence for a broken wire.
const WAIT: Duration = Duration::from_secs(20);

/// What is remembered of an attempt between two requests; whoever holds it is alone.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// What lies in `out/`, once it was counted.
    pub(super) usage: Option<Usage>,
    /// The output that was found complete last: the answer that said so may be lost, or have come too late.
    pub(super) placed: Option<Placed>,
}

/// The desks of all attempts that have told something of late.
#[derive(Debug, Default)]
pub(super) struct Desks {
    desks: Mutex<HashMap<LaunchId, Arc<tokio::sync::Mutex<Desk>>>>,
}

impl Desks {
    /// Waits for the attempt's desk.
    pub(super) async fn of(&self, launch_id: LaunchId) -> OwnedMutexGuard<Desk> {
        let desk = {
            let mut desks = self.lock();
            if desks.len() >= LIMIT {
                desks.retain(|_, desk| Arc::strong_count(desk) > 1);
            }
            Arc::clone(desks.entry(launch_id).or_default())
        };
        desk.lock_owned().await
    }

    /// Waits for the attempt's desk for a while only. None while somebody works at it, such as at the sum of a large
    /// output.
    pub(super) async fn free(&self, launch_id: LaunchId) -> Option<OwnedMutexGuard<Desk>> {
        tokio::time::timeout(WAIT, self.of(launch_id)).await.ok()
    }

    /// The attempt has said its last word.
    pub(super) fn forget(&self, launch_id: LaunchId) {
        self.lock().remove(&launch_id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LaunchId, Arc<tokio::sync::Mutex<Desk>>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
