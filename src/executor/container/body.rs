//! From a launch to the container that is asked for.

use std::path::{Path, PathBuf};

use bollard::{Docker, models::ContainerCreateBody};
use serde_json::{Map, Value, json};

use super::{
    engine::Fault,
    handle::{LAUNCH_LABEL, SERVER_LABEL},
    mounts::{self, Access, Mount, PROGRAM},
    settings::{Container, Settings},
};
use crate::{
    config::{Supervisor, Table},
    executor::{Launch, merge::merge},
    job_dir::AttemptDir,
};

/// What the supervisor has beyond the command's own grace before the engine kills it: time to end what is left and to
/// write its record.
pub(super) const SUPERVISOR_GRACE: u64 = 15;

/// A container that can be asked for.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) image: String,
    /// The body of `POST /containers/create`.
    pub(super) body: Value,
    /// The folder in which the command runs, where the model's table for containers names one.
    pub(super) workdir: Option<PathBuf>,
}

/// What podman's part of an answer about versions is called.
const PODMAN: &str = "Podman Engine";

impl Plan {
    /// The body in the words of the engine that is asked: podman fills an empty folder with what it hides, unless it is
    /// told not to, in a place where Docker does not know the word.
    ///
    /// # Errors
    /// When the engine does not say what it is.
    pub(super) async fn for_engine(&self, docker: &Docker) -> Result<Value, Fault> {
        let mut body = self.body.clone();
        let mounts = body["HostConfig"]["Mounts"].as_array();
        if !mounts.into_iter().flatten().any(mounts::is_mask) {
            return Ok(body);
        }
        let version = docker.version().await?;
        let parts = version.components.unwrap_or_default();
        if parts.iter().any(|part| part.name == PODMAN) {
            mounts::mask_for_podman(&mut body["HostConfig"]);
        }
        Ok(body)
    }

    /// Makes the plan for a launch whose folder has its request.
    ///
    /// # Errors
    /// Why this launch can never be, for people.
    pub(super) fn new(settings: &Settings, launch: &Launch) -> Result<Self, String> {
        let mut table = Table::of_json(&launch.settings);
        let container = settings
            .container
            .under(Container::take_of_model(&mut table, &settings.folder));
        let wrong = table.finish();
        if let Some(mistake) = wrong.first() {
            return Err(format!(
                "the model's table for containers: {}: {}",
                mistake.key, mistake.text
            ));
        }
        let image = container.image.clone().ok_or("no image is named: write image into the executor's table, or into the model's for containers")?;
        let mut body = settings.ask(&container, launch)?;
        body.insert("Image".to_owned(), json!(image));
        Ok(Self {
            image,
            body: Value::Object(body),
            workdir: container.workdir,
        })
    }
}

impl Settings {
    fn ask(&self, container: &Container, launch: &Launch) -> Result<Map<String, Value>, String> {
        let mut body = object(json!({
            "Env": container.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            "HostConfig": self.host_config(container, launch)?,
            // What an image says of its own server's health and end means nothing here.
            "Healthcheck": {"Test": ["NONE"]},
            "StopSignal": "SIGTERM",
            "WorkingDir": "/",
        }));
        merge(&mut body, container.extra.clone());
        let by_stdin = !launch.env.is_empty();
        let (program, arguments) = self.command(launch)?;
        // Last, since it must be as it is whatever the settings say.
        merge(
            &mut body,
            object(json!({
                "User": self.user.to_string(),
                "Labels": {SERVER_LABEL: launch.server_id, LAUNCH_LABEL: launch.id.to_string()},
                "AttachStdin": by_stdin, "OpenStdin": by_stdin, "StdinOnce": by_stdin,
                "AttachStdout": false, "AttachStderr": false, "Tty": false,
                "StopTimeout": launch.cancel_grace.as_secs() + SUPERVISOR_GRACE,
            })),
        );
        body.insert("Entrypoint".to_owned(), json!([program]));
        body.insert("Cmd".to_owned(), json!(arguments));
        Ok(body)
    }

    fn host_config(
        &self,
        container: &Container,
        launch: &Launch,
    ) -> Result<Map<String, Value>, String> {
        let mounts: Vec<Value> = self
            .mounts(container, launch)?
            .iter()
            .map(Mount::as_json)
            .collect();
        let mut config = object(json!({
            "Mounts": mounts,
            "ShmSize": container.shm_size(),
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": false,
        }));
        let resources = &launch.resources;
        let mut say = |key: &str, value: Option<Value>| {
            drop(value.map(|value| config.insert(key.to_owned(), value)));
        };
        say(
            "NetworkMode",
            container.network.as_ref().map(|network| json!(network)),
        );
        say(
            "Runtime",
            self.runtime.as_ref().map(|runtime| json!(runtime)),
        );
        say("Memory", resources.memory.map(|bytes| json!(bytes)));
        // Without this as much again may be swapped, and a training that swaps never ends.
        say("MemorySwap", resources.memory.map(|bytes| json!(bytes)));
        say(
            "NanoCpus",
            resources
                .cpus
                .map(|cpus| json!(u64::from(cpus) * 1_000_000_000)),
        );
        let devices: Vec<String> = launch.devices.iter().map(ToString::to_string).collect();
        let wanted = (!devices.is_empty())
            .then(|| json!([{"DeviceIDs": devices, "Capabilities": [["gpu"]]}]));
        say("DeviceRequests", wanted);
        Ok(config)
    }

    fn mounts(&self, container: &Container, launch: &Launch) -> Result<Vec<Mount>, String> {
        let mut all = Vec::new();
        if self.shares_files {
            all = self.job_mounts(container, launch)?;
        }
        if self.supervisor == Supervisor::Sent {
            all.push(Mount::program(&self.sent_program(launch)?));
        }
        all.extend(container.mounts.iter().cloned());
        Ok(all)
    }

    /// The attempt's own folder to write, the job's data and code to read; not what the server keeps beside them, nor
    /// other attempts.
    fn job_mounts(&self, container: &Container, launch: &Launch) -> Result<Vec<Mount>, String> {
        let attempt = absolute(&launch.attempt_dir)?;
        let job = attempt
            .parent()
            .ok_or("the attempt's folder has no parent")?;
        let jobs = job.parent().ok_or("the job's folder has no parent")?;
        let mut all = vec![Mount::in_place(&attempt, Access::ReadWrite)];
        let given = ["data", "code", "webhook.json"].map(|name| job.join(name));
        let given = given.iter().filter(|path| path.exists());
        all.extend(given.map(|path| Mount::in_place(path, Access::Read)));
        if container.workdir.is_none() {
            // The request knows better, where there is one: code may have been copied.
            let request = AttemptDir::at(attempt.clone()).read_request();
            let workdir =
                request.map_or_else(|_| launch.workdir.clone(), |request| request.workdir);
            if !workdir.starts_with(job) {
                all.extend(mounts::workdir(&workdir, &[&self.state_dir, jobs])?);
            }
        }
        Ok(all)
    }

    /// The program's file on the engine's machine.
    fn sent_program(&self, launch: &Launch) -> Result<PathBuf, String> {
        let own = || launch.argv.first().map(PathBuf::from);
        let program = self
            .program
            .clone()
            .or_else(own)
            .ok_or("the launch has no program")?;
        // The program that runs may have been replaced; the new one lies in the same place.
        let shown = program.to_string_lossy();
        absolute(Path::new(
            shown.strip_suffix(" (deleted)").unwrap_or(&shown),
        ))
    }

    /// The supervisor, where it is in the container, and its arguments.
    fn command(&self, launch: &Launch) -> Result<(String, Vec<String>), String> {
        let [own, arguments @ ..] = launch.argv.as_slice() else {
            return Err("the launch has no program".to_owned());
        };
        let program = match &self.supervisor {
            Supervisor::Sent => PROGRAM.to_owned(),
            Supervisor::Path(path) => path.to_string_lossy().into_owned(),
            Supervisor::Shared => own.clone(),
        };
        let mut arguments = arguments.to_vec();
        if !launch.env.is_empty() {
            // Where nobody who inspects the container sees them.
            arguments.push("--env-stdin".to_owned());
        }
        Ok((program, arguments))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The body of `POST /containers/create`.
pub(super) fn as_body(value: Value) -> Result<ContainerCreateBody, String> {
    let refused = |error: serde_json::Error| format!("the engine's API does not take it: {error}");
    let body: ContainerCreateBody = serde_json::from_value(value.clone()).map_err(refused)?;
    let understood = serde_json::to_value(&body).map_err(refused)?;
    match lost(&value, &understood) {
        Some(key) => Err(format!("the engine's API has no {key}")),
        None => Ok(body),
    }
}

/// The first key that is not there any more.
fn lost(given: &Value, understood: &Value) -> Option<String> {
    let Value::Object(given) = given else {
        return None;
    };
    given
        .iter()
        .filter(|(_, value)| !value.is_null())
        .find_map(|(key, value)| match understood.get(key) {
            None => Some(key.clone()),
            Some(inner) => lost(value, inner).map(|deeper| format!("{key}.{deeper}")),
        })
}
