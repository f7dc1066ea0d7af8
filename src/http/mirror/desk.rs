//! One at a time for each attempt: a request that was given up by its sender may still be at work when its repeat comes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use super::outputs::Usage;
use crate::job::LaunchId;

/// Beyond this many, those that nobody uses are put away.
const LIMIT: usize = 4096;

/// What is remembered of an attempt between two requests; whoever holds it is alone.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// What lies in `out/`, once it was counted.
    pub(super) usage: Option<Usage>,
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

    /// The attempt has said its last word.
    pub(super) fn forget(&self, launch_id: LaunchId) {
        self.lock().remove(&launch_id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LaunchId, Arc<tokio::sync::Mutex<Desk>>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
