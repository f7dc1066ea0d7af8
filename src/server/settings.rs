//! What the parts of the server take from `models.toml`, replaced for all of them by a reload.

use std::collections::{BTreeMap, BTreeSet};

use super::StartError;
use crate::{
    config::{Access, Config, Current, ExecutorEntry, ServerConfig},
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
    pub(super) routes: Current<Vec<WorkspaceRoutes>>,
    pub(super) labelboxes: Current<BTreeMap<String, Labelbox>>,
    pub(super) secrets: Current<Secrets>,
    pub(super) recorder: Option<Recorder>,
}

impl Settings {
    /// Reads the secrets that `config` refers to.
    pub(super) fn new(config: Config) -> Result<Self, StartError> {
        let (routes, secrets) = workspaces(&config)?;
        Ok(Self {
            labelboxes: Current::new(labelboxes(&config, None)),
            access: Current::new(config.server.access.clone()),
            routes: Current::new(routes),
            secrets: Current::new(secrets),
            config: Current::new(config),
            recorder: None,
        })
    }

    /// Has all that is exchanged with Labelbox kept from now on.
    pub(super) fn record(&mut self, recorder: Recorder) {
        let labelboxes = labelboxes(&self.config.get(), Some(&recorder));
        self.labelboxes.replace(labelboxes);
        self.recorder = Some(recorder);
    }

    /// Takes over a file that was found without mistakes, all at once for whatever comes next; live jobs keep the
    /// entries they were accepted with. Answers the keys that a running server cannot change: it keeps
    /// their old values until it is restarted.
    ///
    /// # Errors
    /// [`StartError::Secret`]: a webhook secret cannot be read; nothing was taken over.
    pub fn replace(&self, mut config: Config) -> Result<Vec<String>, StartError> {
        let old = self.config.get();
        let (routes, secrets) = workspaces(&config)?;
        let kept = keep_fixed(&old, &mut config);
        self.labelboxes
            .replace(labelboxes(&config, self.recorder.as_ref()));
        self.access.replace(config.server.access.clone());
        self.routes.replace(routes);
        self.secrets.replace(secrets);
        self.config.replace(config);
        Ok(kept)
    }
}

/// Puts the old values back where a change needs a restart, and names those places.
fn keep_fixed(old: &Config, new: &mut Config) -> Vec<String> {
    let mut kept = Vec::new();
    macro_rules! keep {
        ($($field:ident),+ $(,)?) => {
            let ServerConfig { $($field),+, .. } = &old.server;
            $(if new.server.$field != *$field {
                new.server.$field = $field.clone();
                kept.push(concat!("server.", stringify!($field)).to_owned());
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
    );
    let changed = |ours: &[ExecutorEntry], theirs: &[ExecutorEntry]| {
        let alike = |one: &ExecutorEntry| theirs.iter().any(|other| one.says_the_same(other));
        let changed = ours.iter().filter(|one| !alike(one));
        changed
            .map(|one| format!("executors.{}", one.name))
            .collect::<BTreeSet<_>>()
    };
    let mut executors = changed(&old.executors, &new.executors);
    executors.append(&mut changed(&new.executors, &old.executors));
    kept.extend(executors);
    new.executors = old.executors.clone();
    kept
}

/// The routes of each workspace, and all secrets that must never be seen in a job's words.
fn workspaces(config: &Config) -> Result<(Vec<WorkspaceRoutes>, Secrets), StartError> {
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
        routes.push(WorkspaceRoutes::new(
            workspace,
            &config.models,
            WebhookSecrets::new(secrets),
        ));
    }
    Ok((routes, all))
}

/// One client a workspace.
fn labelboxes(config: &Config, recorder: Option<&Recorder>) -> BTreeMap<String, Labelbox> {
    let timeout = config.reporting.timeout;
    let client = |workspace: &crate::config::Workspace| {
        let labelbox = Labelbox::new(&workspace.endpoint, workspace.api_key.clone(), timeout);
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
