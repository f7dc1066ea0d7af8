//! Attempts that share no files with the server: everything travels over HTTP.

mod proxy;
mod training;

use std::{fs, net::SocketAddr, path::PathBuf};

use crate::support::stack::{Stack, settings, workspace};
use proxy::Proxy;

/// Emulator, server, a machine without the server's files, and the wire in between.
struct Site {
    stack: Stack,
    proxy: Proxy,
}

impl Site {
    /// Models run on the executor `local`, whose attempts have a machine of their own, `node`.
    async fn start(models: &str) -> Self {
        Self::start_with("", models).await
    }

    /// With more settings of `[server]`.
    async fn start_with(server: &str, models: &str) -> Self {
        let proxy = Proxy::start().await;
        let jobs = format!(
            "[server]\njobs_listen = \"127.0.0.1:0\"\njobs_url = \"http://{}\"\n{server}\n",
            proxy.address
        );
        let settings = settings().replacen("[server]\n", &jobs, 1);
        let executor = "[executors.local]\nkind = \"local\"\nmirror = \"node\"\nmax_running = 2\n";
        let stack = Stack::start_whole(|endpoint| {
            settings + &workspace("main", "/", endpoint) + executor + models
        });
        let site = Self {
            stack: stack.await,
            proxy,
        };
        site.connect();
        site
    }

    /// Leads the wire to the server that runs now.
    fn connect(&self) {
        self.proxy.lead_to(Some(self.jobs()));
    }

    /// Where the server listens for supervisors.
    fn jobs(&self) -> SocketAddr {
        let address = self.stack.server.info()["jobs"].as_str().map(str::parse);
        address.expect("an address").expect("an address")
    }

    async fn restart(&mut self) {
        self.stack.restart().await;
        self.connect();
    }

    /// The folder of a job's first attempt on the server.
    fn attempt(&self, id: &str) -> PathBuf {
        self.stack.folder.path().join("jobs").join(id).join("a1")
    }

    fn text(&self, id: &str, name: &str) -> String {
        fs::read_to_string(self.attempt(id).join(name)).unwrap_or_default()
    }

    /// What is left on the machine of the attempts.
    fn left_on_node(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.stack.folder.path().join("node"));
        let entries = entries.into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}
