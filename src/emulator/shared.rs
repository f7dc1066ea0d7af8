//! The state behind its lock, and the news of its changes.

use std::{
    fmt::Debug,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};

use super::{
    Click, ClickError, ClickOutcome, Options,
    click::{ModelRunRequest, Webhook},
    run::TimelineEntry,
    world::World,
};
use crate::config::Secret;

/// Updates that a slow listener may be behind.
const UPDATES_LIMIT: usize = 1024;

/// An accepted update, told as it happens.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The run.
    pub model_run_id: String,
    /// The update.
    pub entry: TimelineEntry,
}

/// What was waited for did not come.
#[derive(Debug, thiserror::Error)]
#[error("waited {limit:?} in vain; seen until then: {seen}")]
pub struct Timeout {
    /// How long.
    pub limit: Duration,
    /// What there was instead.
    pub seen: String,
}

#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
    pub(super) updates: broadcast::Sender<Update>,
    pub(super) api_key: Option<Secret>,
    pub(super) address: SocketAddr,
}

impl Shared {
    pub(super) fn new(address: SocketAddr, options: Options) -> Self {
        let base = format!("http://{address}");
        let Options {
            api_key,
            timing,
            dataset,
        } = options;
        Self {
            world: Mutex::new(World::new(base, timing, dataset)),
            changes: watch::Sender::new(0),
            updates: broadcast::Sender::new(UPDATES_LIMIT),
            api_key,
            address,
        }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and wakes those who wait for a change.
    pub(super) fn change<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.lock();
        let result = act(&mut world);
        for (model_run_id, entry) in world.news.drain(..) {
            // Nobody may be listening.
            let _ = self.updates.send(Update {
                model_run_id,
                entry,
            });
        }
        drop(world);
        self.changes.send_modify(|count| *count += 1);
        result
    }

    pub(super) fn timeline(&self, model_run_id: &str) -> Vec<TimelineEntry> {
        let timeline = |world: &World| world.run(model_run_id).map(|run| run.timeline.clone());
        self.read(timeline).unwrap_or_default()
    }

    /// Looks again after each change until `wanted` or `limit`.
    pub(super) async fn wait_until<T: Debug + Send>(
        &self,
        limit: Duration,
        look: impl Fn() -> T + Send + Sync,
        wanted: impl Fn(&T) -> bool + Send + Sync,
    ) -> Result<T, Timeout> {
        let mut changes = self.changes.subscribe();
        let arrival = async {
            loop {
                changes.mark_unchanged();
                let seen = look();
                if wanted(&seen) {
                    return Some(seen);
                }
                changes.changed().await.ok()?;
            }
        };
        let arrived = timeout(limit, arrival).await.ok().flatten();
        arrived.ok_or_else(|| Timeout {
            limit,
            seen: format!("{:?}", look()),
        })
    }

    pub(super) async fn click(&self, click: Click) -> Result<ClickOutcome, ClickError> {
        let id = &click.model_run_id;
        let model_id = self.read(|world| world.run(id).map(|run| run.model_id.clone()));
        let model_id = model_id.ok_or_else(|| ClickError::UnknownRun(id.clone()))?;
        let webhook = Webhook::new(&click.url, click.secret)?;
        let models = webhook.models().await?;
        let offered = models.is_success();
        let picked = click.model_type.or_else(|| models.first_model());
        let model_run = match picked.filter(|_| offered) {
            Some(model_type) => {
                let request = ModelRunRequest {
                    model_id: Some(model_id),
                    model_run_id: click.model_run_id,
                    model_type,
                };
                Some(webhook.model_run(&request).await?)
            }
            None => None,
        };
        Ok(ClickOutcome { models, model_run })
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
