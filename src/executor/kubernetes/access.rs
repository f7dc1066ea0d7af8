//! The way to the cluster's API: whose credentials, and until when what was found of it holds.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::sync::Mutex;

use super::{
    cluster::{Cluster, REQUEST_TIMEOUT},
    fault::{Fault, innermost},
    plugin,
};

/// A connection is there within this, or it is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client is made anew after this: credentials and addresses in files may have changed.
const RENEWAL: Duration = Duration::from_secs(600);

/// When there is no way to the cluster, it is looked for no sooner than after this: a plugin may be slow to fail.
const PAUSE: Duration = Duration::from_secs(2);

/// Where the cluster is, and as whom it is spoken to.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
    pub(super) namespace: Option<String>,
    current: Mutex<Option<Current>>,
}

/// What came of looking for the cluster, and until when that holds.
#[derive(Debug)]
struct Current {
    until: Instant,
    found: Result<Cluster, Fault>,
}

impl Access {
    pub(super) fn new(
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
        namespace: Option<String>,
    ) -> Self {
        let current = Mutex::new(None);
        Self {
            kubeconfig,
            context,
            namespace,
            current,
        }
    }

    /// The cluster; nothing is asked of it yet.
    pub(super) async fn cluster(&self) -> Result<Cluster, Fault> {
        let mut current = self.current.lock().await;
        if let Some(Current { until, found }) = &*current
            && Instant::now() < *until
        {
            return found.clone();
        }
        let (found, lasts) = match self.connect().await {
            Ok((cluster, expiry)) => (Ok(cluster), expiry),
            Err(fault) => (Err(fault), Some(Instant::now() + PAUSE)),
        };
        let renewal = Instant::now() + RENEWAL;
        let until = lasts.map_or(renewal, |lasts| lasts.min(renewal));
        *current = Some(Current {
            until,
            found: found.clone(),
        });
        found
    }

    /// Has the next question read the credentials again, where this fault may come from them.
    pub(super) async fn noted(&self, fault: Fault) -> Fault {
        if fault.code() == Some(401) {
            *self.current.lock().await = None;
        }
        fault
    }

    /// A client, and until when its credentials hold, if they say so.
    async fn connect(&self) -> Result<(Cluster, Option<Instant>), Fault> {
        crate::outbound::provide_tls();
        let mut config = self.config().await.map_err(Fault::NoAccess)?;
        let expiry = plugin::resolve(&mut config.auth_info).await;
        let expiry = expiry.map_err(Fault::NoAccess)?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(REQUEST_TIMEOUT);
        config.reset_reader_on_write = true;
        config.write_timeout = Some(REQUEST_TIMEOUT);
        // The server tries again by itself, and counts.
        config.default_retry = false;
        let namespace = self.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let address = config.cluster_url.to_string();
        // It reads files, and may run what else a kubeconfig names.
        let made = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        let made = made.map_err(|error| Fault::NoAccess(error.to_string()))?;
        let client = made.map_err(Fault::from)?;
        let cluster = Cluster {
            client,
            namespace,
            address,
            id: Arc::default(),
        };
        Ok((cluster, expiry))
    }

    /// The file that is named, else as every client finds its way: `KUBECONFIG`, `~/.kube/config`, the pod's own account.
    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        if let Some(path) = self.kubeconfig.clone() {
            let read = tokio::task::spawn_blocking(move || Kubeconfig::read_from(path)).await;
            let read = read.map_err(|error| error.to_string())?;
            let file = read.map_err(|error| innermost(&error))?;
            let config = Config::from_custom_kubeconfig(file, &options).await;
            return config.map_err(|error| innermost(&error));
        }
        if self.context.is_some() {
            let config = Config::from_kubeconfig(&options).await;
            return config.map_err(|error| innermost(&error));
        }
        let inferred = Config::infer().await;
        inferred.map_err(|_| {
            "there is no kubeconfig (KUBECONFIG, ~/.kube/config), and this is no pod with an account: set kubeconfig"
                .to_owned()
        })
    }
}
