//! Fetching images, beside the submits that wait for them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bollard::{auth::DockerCredentials, query_parameters::CreateImageOptionsBuilder};
use futures_util::{StreamExt, pin_mut};
use tokio::sync::watch;

use super::engine::{Engine, Fault};
use crate::{config::SecretRef, executor::SubmitError};

/// A submit waits this long for an image, then its job says that it waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// Results are kept for those who ordered them; so many at most.
const ENTRY_LIMIT: usize = 64;

/// Words with which engines and registries say that an image will not come, however often it is asked for.
const FINAL_WORDS: [&str; 6] = [
    "manifest unknown",
    "not found",
    "denied",
    "unauthorized",
    "invalid reference",
    "no matching manifest",
];

/// How a registry knows us.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    pub(super) server: Option<String>,
    pub(super) username: String,
    pub(super) password: SecretRef,
}

/// What is fetched.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) engine: Engine,
    pub(super) image: String,
    pub(super) registry: Option<Registry>,
    pub(super) limit: Duration,
}

/// The images under way, each once however many wait for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulls {
    under_way: Arc<Mutex<HashMap<String, watch::Receiver<Progress>>>>,
}

/// How far an image is.
#[derive(Debug, Clone)]
enum Progress {
    /// In the engine's words.
    Coming(String),
    Ended(Result<(), SubmitError>),
}

impl Pulls {
    /// Waits a while for the image; `key` names what must not be fetched twice.
    ///
    /// # Errors
    /// [`SubmitError::Transient`] as long as it comes, and when the network fails; [`SubmitError::Rejected`] when it
    /// never will.
    pub(super) async fn fetch(&self, key: &str, order: Order) -> Result<(), SubmitError> {
        let image = order.image.clone();
        let mut progress = self.join(key, order);
        let ended = progress.wait_for(|progress| matches!(progress, Progress::Ended(_)));
        let waited = tokio::time::timeout(PATIENCE, ended).await;
        let waited = waited.map(|seen| seen.map(|seen| seen.clone()));
        let seen = match waited {
            Ok(Ok(seen)) => seen,
            Ok(Err(_)) => Progress::Ended(Err(SubmitError::Transient(format!(
                "image {image} was not fetched"
            )))),
            Err(_) => progress.borrow().clone(),
        };
        match seen {
            Progress::Coming(words) => Err(SubmitError::Transient(format!(
                "image {image} is being fetched: {words}"
            ))),
            Progress::Ended(ended) => {
                self.entries().remove(key);
                ended
            }
        }
    }

    fn join(&self, key: &str, order: Order) -> watch::Receiver<Progress> {
        let mut entries = self.entries();
        if let Some(progress) = entries.get(key) {
            return progress.clone();
        }
        if entries.len() >= ENTRY_LIMIT {
            // Of jobs that did not come back for theirs; whoever does has it fetched again.
            entries.retain(|_, progress| !matches!(*progress.borrow(), Progress::Ended(_)));
        }
        let (sender, receiver) = watch::channel(Progress::Coming("begun".to_owned()));
        entries.insert(key.to_owned(), receiver.clone());
        tokio::spawn(async move {
            let fetched = tokio::time::timeout(order.limit, fetch(&order, &sender)).await;
            let late = || {
                Err(SubmitError::Transient(format!(
                    "image {} did not come within pull_timeout",
                    order.image
                )))
            };
            sender.send_replace(Progress::Ended(fetched.unwrap_or_else(|_| late())));
        });
        receiver
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, watch::Receiver<Progress>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(order: &Order, progress: &watch::Sender<Progress>) -> Result<(), SubmitError> {
    let image = &order.image;
    let credentials = match order.registry.clone() {
        None => None,
        Some(registry) => Some(credentials(registry).await?),
    };
    let docker = order
        .engine
        .connect()
        .await
        .map_err(|fault| SubmitError::Transient(fault.to_string()))?;
    let options = CreateImageOptionsBuilder::new()
        .from_image(&with_tag(image))
        .build();
    let told = docker.create_image(Some(options), None, credentials);
    pin_mut!(told);
    while let Some(line) = told.next().await {
        let line = line.map_err(|error| judge(image, Fault::from(error)))?;
        if let Some(error) = line.error_detail.and_then(|detail| detail.message) {
            return Err(judge(
                image,
                Fault::Refused {
                    status: 500,
                    message: error,
                },
            ));
        }
        let layer = line.id.unwrap_or_default();
        let words = format!("{} {layer}", line.status.unwrap_or_default());
        progress.send_replace(Progress::Coming(words.trim().to_owned()));
    }
    Ok(())
}

async fn credentials(registry: Registry) -> Result<DockerCredentials, SubmitError> {
    let read = tokio::task::spawn_blocking(move || {
        let password = registry.password.read()?;
        Ok((password, registry.username, registry.server))
    });
    let unreadable = |why: String| {
        SubmitError::Transient(format!("the registry's password cannot be read: {why}"))
    };
    let read: Result<_, crate::config::SecretError> =
        read.await.map_err(|error| unreadable(error.to_string()))?;
    let (password, username, server) = read.map_err(|error| unreadable(error.to_string()))?;
    Ok(DockerCredentials {
        username: Some(username),
        password: Some(password.expose().to_owned()),
        serveraddress: server,
        ..DockerCredentials::default()
    })
}

/// Without a tag an engine would fetch all of them.
fn with_tag(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains([':', '@']) {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

fn judge(image: &str, fault: Fault) -> SubmitError {
    let text = format!("image {image} cannot be fetched: {fault}");
    let is_final = match &fault {
        Fault::Refused { status, message } => {
            *status == 404 || FINAL_WORDS.iter().any(|word| message.contains(word))
        }
        Fault::Away(_) | Fault::Lost(_) => false,
    };
    if is_final {
        SubmitError::Rejected(text)
    } else {
        SubmitError::Transient(text)
    }
}
