//! A running server: its actors, until it is told to stop or one of them ends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet};

use super::{Certificates, PartFailed, Server, room::watch_room};
use crate::{
    http::tls::Tls,
    reporter::Reporter,
    retention::Retention,
    scheduler,
    transfer::{self, MediaSources, Transfer},
};

/// How long the last connections may take beyond the listeners' own grace.
const SHUTDOWN_SLACK: Duration = Duration::from_secs(2);

impl Server {
    /// Serves until `shutdown` turns true: then takes nothing new, finishes answering, and leaves jobs running.
    ///
    /// # Errors
    /// [`PartFailed`]: it ended before, since a part of it did; whoever started it should start it again.
    pub async fn run(mut self, shutdown: watch::Receiver<bool>) -> Result<(), PartFailed> {
        let config = self.settings.config.get();
        let labelboxes = self.settings.labelboxes.clone();
        let mut actors = JoinSet::new();
        actors.spawn(scheduler::run(
            self.scheduling.clone(),
            self.engines.clone(),
        ));
        let jobs_dir = config.server.jobs_dir.clone();
        if let Some(restoration) = self.restoration.take() {
            tokio::spawn(restoration.finish(self.store.clone()));
        }
        let room = self.scheduling.room.clone();
        actors.spawn(watch_room(self.settings.config.clone(), room.clone()));
        let (store, prune) = (self.store.clone(), Arc::clone(&self.prune));
        let retention =
            Retention::new(store, jobs_dir.clone(), self.settings.config.clone(), prune);
        actors.spawn(retention.run());
        let exports = Arc::clone(&self.exports);
        let transfer = Transfer::new(transfer::Context {
            store: self.store.clone(),
            jobs_dir,
            labelboxes: labelboxes.clone(),
            config: self.settings.config.clone(),
            room,
            export_places: self.export_places(),
            exports,
            media: MediaSources {
                reach: self.settings.reach.clone(),
                proxy: config.server.media_proxy.clone(),
                cache: self.cache.clone(),
            },
        });
        actors.spawn(transfer.run());
        let current = self.settings.config.clone();
        actors.spawn(Reporter::new(self.store.clone(), labelboxes, current).run());
        let Certificates { labelbox, jobs } = std::mem::take(&mut self.tls);
        let acceptors = [&labelbox, &jobs].map(|tls| tls.as_ref().map(Tls::acceptor));
        for tls in [labelbox, jobs].into_iter().flatten() {
            actors.spawn(tls.watch());
        }
        let grace = config.server.shutdown_grace + SHUTDOWN_SLACK;
        let mut stopping = shutdown.clone();
        let mut listening = self.listen(acceptors, shutdown);
        let ended = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => Ok(()),
            // An actor never ends by itself; without it the server would promise what it cannot keep.
            _ = actors.join_next() => Err(PartFailed),
        };
        let answered = async { while listening.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, answered).await.is_err() {
            tracing::warn!("some answers could not be finished in time");
        }
        ended
    }

    /// By executor, how many of its jobs may have their data, or be fetching it, before they have a slot.
    fn export_places(&self) -> BTreeMap<String, u32> {
        let config = self.settings.config.get();
        let executors = config.executors.iter();
        executors
            .map(|one| {
                (
                    one.name.clone(),
                    one.max_running.saturating_add(one.export_ahead),
                )
            })
            .collect()
    }
}
