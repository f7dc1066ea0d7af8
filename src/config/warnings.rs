//! What is no mistake in the file, and still worth a word.

use super::{Config, ModelEntry, SecretRef, Workspace};
use crate::process::{Surroundings, find_program};

/// The kind of executors whose commands run on this machine.
const HERE: &str = "local";

/// A webhook secret with fewer characters than this can be guessed.
const SHORTEST_SECRET: usize = 16;

impl Config {
    /// What may be wrong, one sentence each. Reads the secrets, which may stand on another machine than this one.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.workspaces.iter().flat_map(of_workspace).collect();
        let server = &self.server;
        let access = &server.access;
        if access.allow.is_some()
            && access.trusted_proxies.is_empty()
            && server.listen.ip().is_loopback()
        {
            warnings.push(
                "server.allow is set, but no trusted_proxies: behind a proxy on this machine every request seems to \
                 come from 127.0.0.1"
                    .to_owned(),
            );
        }
        if !server.listen.ip().is_loopback() && server.tls.is_none() {
            warnings.push(format!(
                "listen = \"{}\" takes plain HTTP from other machines: whoever sees the requests can read them",
                server.listen
            ));
        }
        if let Some(jobs) = &server.jobs
            && !jobs.listen.ip().is_loopback()
            && jobs.tls.is_none()
        {
            warnings.push(format!(
                "jobs_listen = \"{}\" speaks plain HTTP with other machines: whoever sees its network can read tokens \
                 and data",
                jobs.listen
            ));
        }
        if self.executors.iter().any(|executor| executor.kind == HERE) {
            warnings.extend(Surroundings::look().danger());
        }
        let here = self.models.iter().filter(|model| self.runs_here(model));
        warnings.extend(here.filter_map(missing_program));
        warnings
    }

    fn runs_here(&self, model: &ModelEntry) -> bool {
        let mut executors = self.executors.iter();
        executors.any(|executor| executor.name == model.executor && executor.kind == HERE)
    }
}

/// What jobs of this model would fail with before their first line; none where it is only known when they start.
fn missing_program(model: &ModelEntry) -> Option<String> {
    let (slug, workdir) = (&model.slug, model.workdir.display());
    if !model.workdir.is_dir() {
        return Some(format!("model {slug}: its workdir {workdir} is not there"));
    }
    let program = model.command.first()?;
    if program.contains('{') {
        return None;
    }
    let why = find_program(program, &model.workdir).err()?;
    Some(format!(
        "model {slug}: its jobs could not start `{program}`: {why}"
    ))
}

fn of_workspace(workspace: &Workspace) -> Vec<String> {
    let secrets = &workspace.webhook_secrets;
    let mut warnings: Vec<String> = secrets.iter().filter_map(weakness).collect();
    warnings.extend(
        workspace
            .api_key
            .read()
            .err()
            .map(|error| error.to_string()),
    );
    if workspace.unsigned {
        warnings
            .push("takes unsigned requests: whoever reaches the address can start jobs".to_owned());
    }
    let named = |warning| format!("workspace {}: {warning}", workspace.name);
    warnings.into_iter().map(named).collect()
}

fn weakness(reference: &SecretRef) -> Option<String> {
    match reference.read() {
        Err(error) => Some(error.to_string()),
        Ok(secret) => {
            let length = secret.expose().chars().count();
            (length < SHORTEST_SECRET).then(|| {
                format!(
                    "the webhook secret in {reference} has {length} characters and can be guessed: \
                     use `openssl rand -hex 32`"
                )
            })
        }
    }
}
