//! The listeners, and what each of them serves.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Server, intake::StoreIntake};
use crate::{
    http::{
        admin::{Admin, admin_routes},
        body::BodyLimits,
        labelbox::{Door, labelbox_routes},
        listener,
        mirror::{Mirror, mirror_routes},
        visits::Visits,
    },
    scheduler::Engine,
};

impl Server {
    pub(super) fn listen(
        mut self,
        [tls, jobs_tls]: [Option<TlsAcceptor>; 2],
        shutdown: watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let config = self.settings.config.get();
        let server = &config.server;
        let limits = listener::Limits {
            header_timeout: server.header_timeout,
            max_connections: server.max_connections,
            drain: server.shutdown_grace,
        };
        let body = BodyLimits {
            size: server.max_body,
            time: server.body_timeout,
        };
        let mut listening = JoinSet::new();
        if let (Some(listener), Some(mirror)) = (self.listeners.jobs.take(), self.mirror()) {
            let routes = mirror_routes(mirror, server.body_timeout);
            let shutdown = shutdown.clone();
            listening.spawn(listener::serve(
                listener, jobs_tls, routes, limits, shutdown,
            ));
        }
        let intake = StoreIntake::boxed(self.store.clone(), self.settings.config.clone());
        let visits = Arc::<Visits>::default();
        let labelbox = labelbox_routes(Door {
            workspaces: self.settings.routes.clone(),
            access: self.settings.access,
            intake,
            limits: body,
            visits: Arc::clone(&visits),
            recorder: self.settings.recorder,
        });
        let slots = self
            .engines
            .values()
            .map(|engine| (engine.name.clone(), engine.max_running));
        let answering = self
            .engines
            .values()
            .map(|engine| (engine.name.clone(), Arc::clone(&engine.answering)));
        let admin = Admin {
            jobs_dir: config.server.jobs_dir.clone(),
            store: self.store.clone(),
            config: self.settings.config,
            slots: slots.collect(),
            answering: answering.collect(),
            visits,
            routes: self.settings.routes,
            room: self.scheduling.room.clone(),
            labelboxes: self.settings.labelboxes,
            prune: self.prune,
            exports: self.exports,
            token: self.token,
        };
        let admin = admin_routes(admin, body);
        listening.spawn(listener::serve(
            self.listeners.labelbox,
            tls,
            labelbox,
            limits,
            shutdown.clone(),
        ));
        let server_file = self._server_file;
        listening.spawn(async move {
            listener::serve(self.listeners.admin, None, admin, limits, shutdown).await;
            drop(server_file);
        });
        listening
    }

    /// What supervisors on other machines are served with, if they are heard.
    fn mirror(&self) -> Option<Mirror> {
        let config = self.settings.config.get();
        let jobs = config.server.jobs.as_ref()?;
        let bell = |(name, engine): (&String, &Engine)| (name.clone(), Arc::clone(&engine.wake));
        Some(Mirror {
            store: self.store.clone(),
            jobs_dir: config.server.jobs_dir.clone(),
            key: self.scheduling.mirroring.as_ref()?.key.clone(),
            bells: self.engines.iter().map(bell).collect(),
            room: self.scheduling.room.clone(),
            max_output: jobs.max_output,
            max_events: jobs.max_events,
        })
    }
}
