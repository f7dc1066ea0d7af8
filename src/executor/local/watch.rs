//! Noticing the end of supervisors at once, also of those that an earlier server spawned.

use std::{
    collections::HashSet,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
};

use crate::{
    job::LaunchId,
    process::{self, ProcessId},
};

/// Attempts watched at once; others are noticed when they are looked at.
const LIMIT: usize = 4096;

/// The launches whose end will be noticed.
#[derive(Debug)]
pub(super) struct Watchers {
    wake: Arc<Notify>,
    launches: Mutex<HashSet<LaunchId>>,
}

/// One watched launch; its drop wakes the server.
#[derive(Debug)]
pub(super) struct Watched {
    launch_id: LaunchId,
    watchers: Arc<Watchers>,
}

impl Watchers {
    pub(super) fn new(wake: Arc<Notify>) -> Self {
        Self {
            wake,
            launches: Mutex::default(),
        }
    }

    /// Somebody waits for this launch, and drops the answer when it ended.
    pub(super) fn enter(self: &Arc<Self>, launch_id: LaunchId) -> Watched {
        self.launches().insert(launch_id);
        Watched {
            launch_id,
            watchers: self.clone(),
        }
    }

    /// Watches a supervisor that nobody watches yet. Where that cannot be, nothing wakes the server,
    /// and its next look notices the end.
    pub(super) fn watch(self: &Arc<Self>, launch_id: LaunchId, supervisor: ProcessId) {
        {
            let launches = self.launches();
            if launches.len() >= LIMIT || launches.contains(&launch_id) {
                return;
            }
        }
        let Ok(Some(descriptor)) = process::watch(supervisor) else {
            return;
        };
        let Ok(descriptor) = readable_end(descriptor) else {
            return;
        };
        let watched = self.enter(launch_id);
        tokio::spawn(async move {
            // An error ends the watch as well as the process does: the server looks.
            let _ = descriptor.readable().await;
            drop(watched);
        });
    }

    fn launches(&self) -> MutexGuard<'_, HashSet<LaunchId>> {
        self.launches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watchers.launches().remove(&self.launch_id);
        self.watchers.wake.notify_one();
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe for descriptors that change; an OwnedFd never does"
)]
fn readable_end(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
