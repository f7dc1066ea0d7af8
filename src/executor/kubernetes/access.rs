//! The cluster's API: how it is reached, and what becomes of a question.

use std::{
    error::Error as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config, Error,
    client::AuthError,
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};
use tokio::sync::{Mutex, OnceCell};

use super::plugin;
use crate::{
    executor::{QueryError, SubmitError},
    job::{Handle, Place},
};

/// A connection is there within this, or it is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One request is answered within this, or it is lost; the server waits longer, also for several of them.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

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

/// A client, and the namespace that is ours.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) address: String,
    /// The uid of a namespace that lives as long as its cluster; none where it may not be read.
    id: Arc<OnceCell<Option<String>>>,
}

/// Every cluster has it, and nobody makes it anew.
const OLDEST_NAMESPACE: &str = "kube-system";

/// Why a question has no good answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    /// Nothing says where the cluster is, or as whom to speak.
    #[error("no way to the cluster: {0}")]
    NoAccess(String),
    /// Nobody was reached, so nothing was asked.
    #[error("the cluster's API cannot be reached: {0}")]
    Away(String),
    /// It answered, and refused.
    #[error("Kubernetes says: {}", said(.0))]
    Refused(Box<Status>),
    /// It was asked, and the answer is not known.
    #[error("the answer of the cluster's API was lost: {0}")]
    Lost(String),
    /// It was not asked: another cluster has the attempt.
    #[error("{0}")]
    Elsewhere(String),
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

impl Cluster {
    pub(super) fn with_namespace(self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self
        }
    }

    /// The cluster, as handles know it. It is asked once who it is.
    pub(super) async fn place(&self) -> Result<Place, Fault> {
        let id = self.id.get_or_try_init(|| self.ask_id()).await?;
        Ok(Place {
            id: id.clone(),
            ..self.place_by_address()
        })
    }

    fn place_by_address(&self) -> Place {
        Place {
            part: Some(format!("namespace {}", self.namespace)),
            ..Place::at(self.address.trim_end_matches('/'))
        }
    }

    /// The same where it cannot be asked.
    pub(super) async fn place_as_known(&self) -> Place {
        let known = self.place().await;
        known.unwrap_or_else(|_| self.place_by_address())
    }

    async fn ask_id(&self) -> Result<Option<String>, Fault> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match ask(namespaces.get(OLDEST_NAMESPACE)).await {
            Ok(namespace) => Ok(namespace.metadata.uid),
            // Our credentials may be old ones.
            Err(fault) if fault.code() == Some(401) => Err(fault),
            // Few accounts may.
            Err(Fault::Refused(status)) if status.code < 500 => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// # Errors
    /// When another cluster has the attempt.
    pub(super) async fn has(&self, handle: &Handle) -> Result<(), Fault> {
        if handle.place.is_none() {
            return Ok(());
        }
        let here = self.place().await?;
        handle
            .unseen_from(&here)
            .map_or(Ok(()), |why| Err(Fault::Elsewhere(why)))
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (address, namespace) = (&self.address, &self.namespace);
        write!(f, "namespace {namespace} of {address}")
    }
}

/// Asks within the time that an answer may take.
pub(super) async fn ask<T>(
    asked: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Fault> {
    match tokio::time::timeout(REQUEST_TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::Lost("it did not answer in time".to_owned())),
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(status) => Self::Refused(status),
            error if is_of_credentials(&error) => {
                Self::NoAccess("the kubeconfig's credentials cannot be had".to_owned())
            }
            other if is_of_connecting(&other) => Self::Away(innermost(&other)),
            other => Self::Lost(innermost(&other)),
        }
    }
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl Fault {
    /// What a submit makes of it when the cluster may have done what it was asked.
    pub(super) fn of_submit(self) -> SubmitError {
        let text = self.to_string();
        match &self {
            Self::NoAccess(_) | Self::Away(_) | Self::Elsewhere(_) => SubmitError::Transient(text),
            Self::Lost(_) => SubmitError::Ambiguous(text),
            Self::Refused(status) => match status.code {
                // A quota frees itself, and a namespace that ends may be made anew.
                403 if status.message.contains("exceeded quota")
                    || status.message.contains("being terminated") =>
                {
                    SubmitError::Transient(text)
                }
                // Our own credentials, or too many questions: not the launch's fault.
                // What a policy of the cluster forbids stays forbidden.
                403 if status.message.contains("denied the request") => SubmitError::Rejected(text),
                400 | 413 | 422 if is_the_apis_own(status) => SubmitError::Rejected(text),
                // Our own credentials and rights, a namespace that is not there yet, too many questions, a proxy on the
                // way: not the launch's fault, and a queue must not fail by it.
                400..=499 => SubmitError::Transient(text),
                _ => SubmitError::Ambiguous(text),
            },
        }
    }

    /// The HTTP status of a refusal.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(status.code),
            _ => None,
        }
    }

    /// Whether there is no such object.
    pub(super) fn is_absence(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether there is an object of this name already.
    pub(super) fn is_taken_name(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409 && status.reason == "AlreadyExists")
    }
}

/// Its words; a proxy on the way may have answered instead.
fn said(status: &Status) -> String {
    match status.message.trim() {
        "" => format!("{} {}", status.code, status.reason),
        message => super::words::shown(message),
    }
}

/// Whether the API itself has looked at what it was given and found it wrong.
fn is_the_apis_own(status: &Status) -> bool {
    matches!(
        status.reason.as_str(),
        "Invalid" | "BadRequest" | "RequestEntityTooLarge"
    )
}

/// Whoever tells credentials may tell them in its errors, too.
fn is_of_credentials(error: &Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if inner.is::<AuthError>() {
            return true;
        }
        source = inner.source();
    }
    false
}

fn is_of_connecting(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(inner) = source {
        let of_client = inner.downcast_ref::<hyper_util::client::legacy::Error>();
        if of_client.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return true;
        }
        source = inner.source();
    }
    false
}

/// The outer ones only say that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    super::words::shown(&text)
}
