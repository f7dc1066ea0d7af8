//! What the parts of the server take from `models.toml`, replaced for all of them by a reload.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::StartError;
use crate::{
    config::{Access, Config, Current, ServerConfig},
    downloads::Reach,
    http::labelbox::WorkspaceRoutes,
    labelbox::Labelbox,
    recording::Recorder,
    scheduler::Secrets,
    signature::WebhookSecrets,
};

/// The settings in force. All clones are the same.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) config: Current<Config>,
    pub(super) access: Current<Access>,
    pub(super) reach: Current<Reach>,
    pub(super) routes: Current<Vec<WorkspaceRoutes>>,
    pub(super) labelboxes: Current<BTreeMap<String, Labelbox>>,
    pub(super) secrets: Current<Secrets>,
    pub(super) recorder: Option<Recorder>,
}

/// A setting that a running server does not take over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where in the file it stands.
    pub key: String,
    /// What is different there: "has changed".
    pub how: String,
}

impl Kept {
    fn changed(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            how: "has changed".to_owned(),
        }
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.key, self.how)
    }
}

impl Settings {
    /// Reads the secrets that `config` refers to.
    pub(super) fn new(config: Config) -> Result<Self, StartError> {
        let (routes, secrets) = workspaces(&config, &[])?;
        Ok(Self {
            labelboxes: Current::new(labelboxes(&config, None, &BTreeMap::new())),
            access: Current::new(config.server.access.clone()),
            reach: Current::new(Reach::of(&config)),
            routes: Current::new(routes),
            secrets: Current::new(secrets),
            config: Current::new(config),
            recorder: None,
        })
    }

    /// Has all that is exchanged with Labelbox kept from now on.
    pub(super) fn record(&mut self, recorder: Recorder) {
        let labelboxes = labelboxes(&self.config.get(), Some(&recorder), &self.labelboxes.get());
        self.labelboxes.replace(labelboxes);
        self.recorder = Some(recorder);
    }

    /// Takes over a file that was found without mistakes, all at once for whatever comes next; live jobs keep the
    /// entries they were accepted with. Answers what a running server cannot change: it keeps the old values
    /// until it is restarted.
    ///
    /// # Errors
    /// [`StartError::Secret`]: a webhook secret cannot be read; nothing was taken over.
    pub fn replace(&self, mut config: Config) -> Result<Vec<Kept>, StartError> {
        let old = self.config.get();
        let (routes, secrets) = workspaces(&config, &self.routes.get())?;
        let kept = keep_fixed(&old, &mut config);
        let labelboxes = labelboxes(&config, self.recorder.as_ref(), &self.labelboxes.get());
        self.labelboxes.replace(labelboxes);
        self.access.replace(config.server.access.clone());
        self.reach.replace(Reach::of(&config));
        self.routes.replace(routes);
        self.secrets.replace(secrets);
        self.config.replace(config);
        Ok(kept)
    }
}

/// Puts the old values back where a change needs a restart, and names those places.
fn keep_fixed(old: &Config, new: &mut Config) -> Vec<Kept> {
    let mut kept = Vec::new();
    macro_rules! keep {
        ($($field:ident),+ $(,)?) => {
            let ServerConfig { $($field),+, .. } = &old.server;
            $(if new.server.$field != *$field {
                new.server.$field = $field.clone();
                kept.push(Kept::changed(concat!("server.", stringify!($field))));
            })+
        };
    }
    keep!(
        listen,
        admin_listen,
        tls,
        jobs,
        state_dir,
        jobs_dir,
        max_body,
        header_timeout,
        body_timeout,
        max_connections,
        shutdown_grace,
        media_proxy,
        media_cache,
        media_cache_size,
    );
    kept.extend(kept_executors(old, new));
    new.executors = old.executors.clone();
    kept
}

/// The executors that the file adds, changes or drops, in the order of their names.
fn kept_executors(old: &Config, new: &Config) -> Vec<Kept> {
    let names = old.executors.iter().chain(&new.executors);
    let names: BTreeSet<&str> = names.map(|entry| entry.name.as_str()).collect();
    let find = |config: &'_ Config, name: &str| {
        let mut entries = config.executors.iter();
        entries.find(|entry| entry.name == name).cloned()
    };
    let difference = |name: &str| match (find(old, name), find(new, name)) {
        (None, Some(_)) => Some(format!("is new{}", jobs_wait(new, name))),
        (Some(_), None) => Some("is no longer there".to_owned()),
        (Some(ours), Some(theirs)) => {
            (!ours.says_the_same(&theirs)).then(|| "has changed".to_owned())
        }
        (None, None) => None,
    };
    let kept = names.into_iter().filter_map(|name| {
        let key = format!("executors.{name}");
        difference(name).map(|how| Kept { key, how })
    });
    kept.collect()
}

/// Whose jobs have no executor until the restart.
fn jobs_wait(config: &Config, executor: &str) -> String {
    let models = config
        .models
        .iter()
        .filter(|model| model.executor == executor);
    let slugs: Vec<&str> = models.map(|model| model.slug.as_str()).collect();
    match slugs.is_empty() {
        true => String::new(),
        false => format!(", and jobs of {} wait for it", slugs.join(", ")),
    }
}

/// The routes of each workspace, whose secrets go on from when they last signed for `earlier` ones, and all secrets that
/// must never be seen in a job's words.
fn workspaces(
    config: &Config,
    earlier: &[WorkspaceRoutes],
) -> Result<(Vec<WorkspaceRoutes>, Secrets), StartError> {
    let (mut routes, mut all) = (Vec::new(), Secrets::default());
    for workspace in &config.workspaces {
        let unreadable = |source| StartError::Secret {
            workspace: workspace.name.clone(),
            source,
        };
        let references = workspace.webhook_secrets.iter();
        let secrets = references
            .map(|secret| secret.read())
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        all.references.extend(workspace.webhook_secrets.clone());
        all.references.push(workspace.api_key.clone());
        all.at_start.extend(secrets.iter().cloned());
        match workspace.api_key.read() {
            Ok(key) => all.at_start.push(key),
            // Requests are taken all the same: jobs wait, loudly, until the key is there.
            Err(error) => tracing::error!(
                workspace = workspace.name,
                "the API key cannot be read: {error}"
            ),
        }
        let secrets = WebhookSecrets::new(secrets);
        let before = earlier.iter().find(|other| other.name() == workspace.name);
        let secrets = match before {
            Some(before) => secrets.remembering(before.secrets()),
            None => secrets,
        };
        routes.push(WorkspaceRoutes::new(workspace, &config.models, secrets));
    }
    Ok((routes, all))
}

/// One client a workspace, which counts on from where the `earlier` one has got: reading the settings again makes no
/// more calls than were allowed.
fn labelboxes(
    config: &Config,
    recorder: Option<&Recorder>,
    earlier: &BTreeMap<String, Labelbox>,
) -> BTreeMap<String, Labelbox> {
    let timeout = config.reporting.timeout;
    let client = |workspace: &crate::config::Workspace| {
        let labelbox = Labelbox::new(&workspace.endpoint, workspace.api_key.clone(), timeout)
            .limited_to(workspace.requests_per_minute, earlier.get(&workspace.name));
        let labelbox = match earlier.get(&workspace.name) {
            Some(earlier) => labelbox.counting_on_from(earlier),
            None => labelbox,
        };
        match recorder {
            Some(recorder) => labelbox.recorded_by(recorder.clone()),
            None => labelbox,
        }
    };
    config
        .workspaces
        .iter()
        .map(|workspace| (workspace.name.clone(), client(workspace)))
        .collect()
}
