//! Kubernetes: on an API server of our own, whose node really runs what its pods say. `real` is for a real cluster.

mod conformance;
mod crashes;
mod credentials;
mod digits;
mod ends;
mod kubectl;
mod manifests;
mod places;
mod real;
mod submits;
mod waits;

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{
    kubernetes::Cluster,
    stack::{Stack, job_id, model, settings, wait_until, workspace},
};

/// A server whose jobs run on a cluster, and reach it over HTTP.
struct Site {
    stack: Stack,
    cluster: Cluster,
}

impl Site {
    /// One model, `job`, whose command is a line of sh; `more` is for the executor's table.
    async fn start(script: &str, more: &str, settings: &str) -> Self {
        Self::start_with(more, &model("job", script, settings)).await
    }

    async fn start_with(more: &str, models: &str) -> Self {
        let cluster = Cluster::start().await;
        let executor = format!(
            "[executors.local]\nmax_running = 4\n{}",
            cluster.table(more)
        );
        // The same one after a restart: supervisors come back to it.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let listening = format!("[server]\njobs_listen = \"{}\"\n", port.expect("a port"));
        let stack = Stack::start_whole(|endpoint| {
            let settings = settings().replace("[server]\n", &listening);
            settings + &workspace("main", "/", endpoint) + &executor + models
        })
        .await;
        Self { stack, cluster }
    }

    /// Clicks on a fresh run; answers run and job.
    async fn click(&self) -> (String, String) {
        let run = self.stack.new_run();
        let id = job_id(&self.stack.click(&run, "job").await);
        (run, id)
    }

    /// The name of a job's attempt, which is its Job's.
    fn launch(id: &str, attempt: u32) -> String {
        format!("th-{}-a{attempt}", id.replace('-', ""))
    }

    fn state(&self, id: &str) -> Value {
        self.stack.job(id)["job"]["state"].clone()
    }

    async fn wait_for_state(&self, id: &str, wanted: &str) {
        let reached = || (self.state(id) == wanted).then_some(());
        wait_until(&format!("the state {wanted}"), reached).await;
    }

    /// Waits until a job says that it waits for something that these words tell.
    async fn waits_for(&self, id: &str, words: &str) {
        let told = || {
            let job = &self.stack.job(id)["job"];
            let waiting = job["waiting"].as_str()?;
            waiting.contains(words).then_some(())
        };
        wait_until(&format!("it to say {words:?}"), told).await;
    }

    /// Waits until the cluster has nothing of ours any more.
    async fn wait_until_empty(&self) {
        let is_empty = || {
            let mut resources = ["jobs", "pods", "secrets"].iter();
            resources
                .all(|resource| self.cluster.names(resource).is_empty())
                .then_some(())
        };
        wait_until("an empty cluster", is_empty).await;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The server first, so that it starts nothing more.
        self.stack.server.end();
    }
}
