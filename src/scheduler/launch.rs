//! What is handed to an executor: the supervisor's arguments and environment, and the folder that it finds.

use std::collections::BTreeMap;

use super::{Mirroring, engine_loop::EngineLoop};
use crate::{
    config::{EnvValue, Secret},
    dataset::Split,
    executor::Launch,
    job::Job,
    job_dir::{JobDir, Limits, Request},
    mirror::MirrorAccess,
};

/// Why there is no launch, for people.
pub(super) enum Unprepared {
    /// What is missing may come.
    Yet(String),
    /// It cannot be.
    Never(String),
}

/// A full disk, too: its job fails with that reason, and no other waits for it.
fn unwritable(error: std::io::Error) -> Unprepared {
    Unprepared::Never(format!("cannot write the job directory: {error}"))
}

impl EngineLoop {
    /// Makes the attempt's folder and its launch, without the model's secrets.
    pub(super) async fn prepare(&self, job: &Job) -> Result<Launch, Unprepared> {
        let mut env = plain_env(job);
        let job_dir = JobDir::new(&self.context.jobs_dir, job.id);
        let mut request = request_of(job);
        let create = move || {
            request.code = job_dir.read_code()?;
            if !request.code.is_empty() {
                request.workdir = job_dir.attempt(request.attempt).code();
            }
            job_dir.create_attempt(&request)
        };
        let created = tokio::task::spawn_blocking(create).await;
        let created = created.map_err(|error| Unprepared::Never(error.to_string()))?;
        let attempt_dir = created.map_err(unwritable)?.path().to_owned();
        let mirror = self.mirror(job).map_err(Unprepared::Never)?;
        if mirror.is_none() {
            // Elsewhere the winner of the claim is handed these: a launch may be shown to others there.
            env.extend(job.entry.passed());
        }
        let (executor, kind) = (&self.engine.executor, &self.engine.kind);
        let program = executor.program();
        let program = program.as_deref().unwrap_or(&self.context.program);
        let launch = Launch::new(
            job.launch_id(),
            (&job.entry, kind),
            program,
            attempt_dir,
            env,
        );
        let mut launch = match mirror {
            None => launch,
            Some(access) => launch.mirrored(access),
        };
        launch.devices.clone_from(&job.devices);
        self.store().server_id().clone_into(&mut launch.server_id);
        Ok(launch)
    }

    /// Adds the model's secrets to the launch. A file that is being replaced, or not mounted, comes back.
    pub(super) async fn add_secrets(
        &self,
        job: &Job,
        launch: &mut Launch,
    ) -> Result<(), Unprepared> {
        let entry = job.entry.clone();
        let read = tokio::task::spawn_blocking(move || entry.secrets()).await;
        let read = read.map_err(|error| Unprepared::Never(error.to_string()))?;
        let unreadable = |error| Unprepared::Yet(format!("cannot read the model's env: {error}"));
        let secrets = read.map_err(unreadable)?;
        if launch.mirror.is_none() {
            // Elsewhere the winner of the claim is handed the secrets.
            launch.env.extend(secrets);
        }
        Ok(())
    }

    /// How the attempt reaches its folder where the engine does not share it.
    fn mirror(&self, job: &Job) -> Result<Option<MirrorAccess>, String> {
        if self.engine.executor.shares_files() {
            return Ok(None);
        }
        let Some(Mirroring { url, key }) = &self.context.mirroring else {
            return Err("its executor shares no files with the server: set jobs_listen".to_owned());
        };
        Ok(Some(MirrorAccess {
            url: url.clone(),
            token: key.claim_token(job.launch_id()),
        }))
    }
}

/// The model's `env` as far as it is no secret.
fn plain_env(job: &Job) -> BTreeMap<String, Secret> {
    let own = job
        .entry
        .env
        .iter()
        .filter_map(|(name, value)| match value {
            EnvValue::Text(text) => Some((name.clone(), Secret::new(text.clone()))),
            EnvValue::Secret(_) => None,
        });
    own.collect()
}

/// What an export leaves in the data folder.
fn data_files() -> BTreeMap<String, String> {
    let splits = Split::ALL.map(|split| (split.as_str(), split.file_name()));
    let others = [("ontology", "ontology.json"), ("manifest", "manifest.json")];
    let files = splits.into_iter().chain(others);
    files
        .map(|(what, file)| (what.to_owned(), format!("data/{file}")))
        .collect()
}

fn request_of(job: &Job) -> Request {
    let entry = &job.entry;
    let others = job.settled.as_ref().map(|settled| settled.others.clone());
    Request {
        protocol: job.protocol,
        job_id: job.id,
        launch_id: job.launch_id(),
        attempt: job.attempt,
        model: entry.slug.clone(),
        model_type: entry.title.clone(),
        model_id: job.model_id.clone(),
        model_run_id: job.model_run_id.clone(),
        params: job
            .params()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.as_json()))
            .collect(),
        labelbox_config: others.unwrap_or_default(),
        labelbox_config_warning: job.config_warning(),
        data: match entry.export {
            Some(_) => data_files(),
            None => BTreeMap::new(),
        },
        resources: entry.resources.clone(),
        devices: job.devices.clone(),
        command: entry.command.clone(),
        workdir: entry.workdir.clone(),
        code: Vec::new(),
        limits: Limits {
            run_timeout_ms: entry.run_timeout_ms,
            cancel_grace_ms: entry.cancel_grace_ms,
            log_bytes: entry.log_limit,
        },
    }
}
