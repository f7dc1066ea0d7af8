//! Labelbox's listener on a port of its own, with an intake that only remembers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use trainhook::{
    config::{Access, Current, ModelEntry, Resources, Retry, Secret, SecretRef, Workspace},
    http::{
        body::BodyLimits,
        labelbox::{
            self, AcceptError, AcceptRuns, Accepted, RunRequest, WorkspaceRoutes, labelbox_routes,
        },
        listener::{Limits, bind, serve},
    },
    job::{JobId, JobState},
    signature::{WebhookSecrets, sign},
};

use super::raw_http::{Answer, PATIENCE, ask, request};

pub(crate) const SECRET: &str = "test_secret";
pub(crate) const MAX_BODY: u64 = 64 * 1024;

/// Keeps every request; answers as it is told, or with a fresh job.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) requests: Mutex<Vec<RunRequest>>,
    pub(crate) refusal: Mutex<Option<AcceptError>>,
    /// Told each time a request arrives.
    pub(crate) arrived: Semaphore,
    /// One permit lets one request go on.
    pub(crate) gate: Semaphore,
}

#[async_trait]
impl AcceptRuns for Intake {
    async fn accept(&self, request: RunRequest) -> Result<Accepted, AcceptError> {
        self.arrived.add_permits(1);
        self.gate.acquire().await.expect("an open gate").forget();
        if let Some(error) = self.refusal.lock().expect("a lock").clone() {
            return Err(error);
        }
        let mut requests = self.requests.lock().expect("a lock");
        let duplicate = requests
            .iter()
            .any(|other| other.model_run_id == request.model_run_id);
        requests.push(request);
        Ok(Accepted {
            job_id: JobId::new(Timestamp::UNIX_EPOCH),
            state: JobState::Accepted,
            duplicate,
        })
    }
}

/// A running listener.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) intake: Arc<Intake>,
    shutdown: watch::Sender<bool>,
    server: JoinHandle<()>,
}

/// What a test may want otherwise.
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) body_time: Duration,
    /// How many requests the intake answers before it holds them.
    pub(crate) gate: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits {
                header_timeout: PATIENCE,
                max_connections: 64,
                drain: PATIENCE,
            },
            body_time: PATIENCE,
            gate: 1000,
        }
    }
}

impl Door {
    pub(crate) async fn open(workspaces: Vec<WorkspaceRoutes>, settings: Settings) -> Self {
        let intake = Arc::new(Intake {
            requests: Mutex::default(),
            refusal: Mutex::default(),
            arrived: Semaphore::new(0),
            gate: Semaphore::new(settings.gate),
        });
        let body_limits = BodyLimits {
            size: MAX_BODY,
            time: settings.body_time,
        };
        let routes = labelbox_routes(labelbox::Door {
            workspaces: Current::new(workspaces),
            access: Current::new(Access::default()),
            intake: intake.clone(),
            limits: body_limits,
            visits: Arc::default(),
            recorder: None,
        });
        let listener = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (shutdown, stop) = watch::channel(false);
        Self {
            address,
            intake,
            shutdown,
            server: tokio::spawn(serve(listener, None, routes, settings.limits, stop)),
        }
    }

    /// One workspace at `/` with the secret of the recorded requests.
    pub(crate) async fn with_models(titles: &[&str]) -> Self {
        Self::open(
            vec![workspace("main", "/", &[SECRET], titles)],
            Settings::default(),
        )
        .await
    }

    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Waits until the listener's task has returned.
    pub(crate) async fn stopped(self) {
        let ended = timeout(PATIENCE, self.server).await;
        ended.expect("the listener ends in time").expect("no panic");
    }

    /// The models' slugs and bodies that were accepted so far.
    pub(crate) fn accepted(&self) -> Vec<RunRequest> {
        self.intake.requests.lock().expect("a lock").clone()
    }
}

/// A workspace that offers a model for each of `titles`.
pub(crate) fn workspace(
    name: &str,
    path: &str,
    secrets: &[&str],
    titles: &[&str],
) -> WorkspaceRoutes {
    let models: Vec<ModelEntry> = titles
        .iter()
        .enumerate()
        .map(|(n, title)| model(n, title))
        .collect();
    let settings = workspace_settings(name, path, None);
    WorkspaceRoutes::new(&settings, &models, webhook_secrets(secrets))
}

pub(crate) fn webhook_secrets(secrets: &[&str]) -> WebhookSecrets {
    WebhookSecrets::new(secrets.iter().map(|text| Secret::new(*text)).collect())
}

pub(crate) fn workspace_settings(name: &str, path: &str, models: Option<&[&str]>) -> Workspace {
    let elsewhere = SecretRef::Env("NOT_READ_HERE".to_owned());
    Workspace {
        name: name.to_owned(),
        path: path.to_owned(),
        unsigned: false,
        webhook_secrets: vec![elsewhere.clone()],
        api_key: elsewhere,
        endpoint: "https://api.labelbox.com/graphql".to_owned(),
        models: models.map(|slugs| slugs.iter().map(|slug| (*slug).to_owned()).collect()),
    }
}

/// The model with the slug `model-<n>`.
pub(crate) fn model(n: usize, title: &str) -> ModelEntry {
    ModelEntry {
        kinds: std::collections::BTreeMap::new(),
        slug: format!("model-{n}"),
        title: title.to_owned(),
        executor: "local".to_owned(),
        command: vec!["true".to_owned()],
        workdir: "/".into(),
        files: Vec::new(),
        env: Default::default(),
        env_pass: Vec::new(),
        params: Default::default(),
        resources: Resources::default(),
        run_timeout_ms: None,
        queue_timeout_ms: None,
        cancel_grace_ms: 0,
        retry: Retry {
            max: 0,
            on: Vec::new(),
            backoff_ms: 0,
        },
        log_limit: 0,
        max_running: None,
        max_queued: None,
        max_starts_per_day: None,
        param_limits: Default::default(),
        export: None,
        preflight: Default::default(),
        predictions: Default::default(),
        upload_timeout_ms: None,
    }
}

/// The signature header's value that Labelbox would send.
pub(crate) fn signed(secret: &str, body: &[u8]) -> String {
    sign(&Secret::new(secret), body)
}

/// Asks for the list of models, signed.
pub(crate) async fn list(door: &Door, path: &str, secret: &str) -> Answer {
    let signature = signed(secret, b"");
    ask(
        door.address,
        "GET",
        path,
        &[("X-Hub-Signature", &signature)],
        None,
    )
    .await
}

/// Refused with `status` and `code`, its message holding `word`; nothing was accepted.
pub(crate) fn assert_refused(door: &Door, answer: &Answer, status: u16, code: &str, word: &str) {
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (status, code),
        "{answer:?}"
    );
    assert!(answer.body.contains(word), "{word:?} not in {answer:?}");
    assert!(door.accepted().is_empty());
}

/// The body of a click.
pub(crate) const RUN: &str = r#"{"modelRunId":"r1","modelType":"ner"}"#;

/// A door with one workspace and one model.
pub(crate) async fn door(settings: Settings) -> Door {
    Door::open(vec![workspace("main", "/", &[SECRET], &["ner"])], settings).await
}

/// A door with these limits.
pub(crate) async fn door_with(limits: Limits) -> Door {
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    door(settings).await
}

/// The limits of a door that nobody chose.
pub(crate) fn limits() -> Limits {
    Settings::default().limits
}

/// A request without a signature.
pub(crate) fn ping() -> Vec<u8> {
    request("GET", "/ping", &[], None)
}

/// A signed POST of [`RUN`].
pub(crate) fn run() -> Vec<u8> {
    let signature = signed(SECRET, RUN.as_bytes());
    let headers = [("X-Hub-Signature", signature.as_str())];
    request("POST", "/model_run", &headers, Some(RUN.as_bytes()))
}
