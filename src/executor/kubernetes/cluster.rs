//! A cluster that was found: who it is, and how it is asked.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Error};
use tokio::sync::OnceCell;

use super::fault::Fault;
use crate::job::{Handle, Place};

/// One request is answered within this, or it is lost; the server waits longer, also for several of them.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Every cluster has it, and nobody makes it anew.
const OLDEST_NAMESPACE: &str = "kube-system";

/// A client, and the namespace that is ours.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) address: String,
    /// The uid of a namespace that lives as long as its cluster; none where it may not be read.
    pub(super) id: Arc<OnceCell<Option<String>>>,
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
