//! Whether the engine is there, has the image, and our program runs in it.

use std::time::Duration;

use bollard::{
    Docker,
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder},
};
use futures_util::{StreamExt, pin_mut};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    body::{Plan, as_body},
    engine::Fault,
    mounts::{Mount, PROGRAM},
    settings::{Pull, Settings, User},
    stop, words,
};
use crate::{
    config::Supervisor,
    executor::{Launch, QueryError},
};

/// The trial may take this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// In words, for people.
pub(super) async fn check(settings: &Settings) -> Result<String, QueryError> {
    let docker = settings.engine.connect().await?;
    let version = docker.version().await.map_err(Fault::from)?;
    let name = version
        .platform
        .map_or_else(|| "container engine".to_owned(), |platform| platform.name);
    let engine = format!("{} {}", name.trim(), version.version.unwrap_or_default());
    abilities(&docker, settings).await?;
    let Some(image) = &settings.container.image else {
        return Ok(format!("{engine}; each model names its image"));
    };
    if !has_image(&docker, settings, image).await? {
        return Ok(format!(
            "{engine}; image {image} will be fetched for the first job"
        ));
    }
    let tried = tokio::time::timeout(PATIENCE, try_out(&docker, settings, image)).await;
    tried
        .map_err(|_| QueryError(format!("{engine}: a trial in {image} did not end in time")))??;
    Ok(format!(
        "{engine}; supervisors run in image {image}, as user {}",
        settings.user
    ))
}

/// Whether the engine has it; if not, it may be fetched.
async fn has_image(docker: &Docker, settings: &Settings, image: &str) -> Result<bool, QueryError> {
    match docker.inspect_image(image).await.map_err(Fault::from) {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_absence() && settings.pull == Pull::Never => Err(QueryError(
            format!("the engine has no image {image}, and pull is \"never\""),
        )),
        Err(fault) if fault.is_absence() => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

/// What becomes of a model's launch as far as its image is concerned, in words.
pub(super) async fn try_launch(settings: &Settings, launch: &Launch) -> Result<String, QueryError> {
    let plan = Plan::new(settings, launch).map_err(QueryError)?;
    let docker = settings.engine.connect().await?;
    let image = plan.image;
    Ok(match has_image(&docker, settings, &image).await? {
        true => format!("image {image} is there"),
        false => format!("image {image} will be fetched for the first job"),
    })
}

async fn abilities(docker: &Docker, settings: &Settings) -> Result<(), QueryError> {
    let info = docker.info().await.map_err(Fault::from)?;
    let runtimes = info.runtimes.unwrap_or_default();
    if let Some(runtime) = &settings.runtime
        && !runtimes.contains_key(runtime)
    {
        let known: Vec<&str> = runtimes.keys().map(String::as_str).collect();
        let known = known.join(", ");
        return Err(QueryError(format!(
            "the engine has no runtime {runtime}; those it has: {known}"
        )));
    }
    let security = info.security_options.unwrap_or_default();
    let is_rootless = security.iter().any(|option| option.contains("rootless"));
    let is_stranger = settings.user.uid == 0 && User::own().uid != 0;
    if settings.shares_files && is_stranger && !is_rootless {
        let text = "user 0 is the machine's root on this engine, whose files we could not read: leave user out";
        return Err(QueryError(text.to_owned()));
    }
    Ok(())
}

/// Runs `trainhook --version` as an attempt would run.
async fn try_out(docker: &Docker, settings: &Settings, image: &str) -> Result<(), QueryError> {
    let body = as_body(trial(settings, image)).map_err(QueryError)?;
    let name = format!("trainhook-check-{}", Uuid::new_v4().simple());
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    docker
        .create_container(Some(options), body)
        .await
        .map_err(Fault::from)?;
    let ran = run(docker, &name).await;
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    docker
        .remove_container(&name, Some(options))
        .await
        .map_err(Fault::from)?;
    ran.map_err(|why| {
        QueryError(format!(
            "supervisors do not run in image {image}: {}",
            words::explained(&why)
        ))
    })
}

async fn run(docker: &Docker, name: &str) -> Result<(), String> {
    docker
        .start_container(name, None)
        .await
        .map_err(|error| Fault::from(error).to_string())?;
    let ends = docker.wait_container(name, None);
    pin_mut!(ends);
    match ends.next().await {
        Some(Ok(_)) => Ok(()),
        _ => Err(stop::log(docker, name).await),
    }
}

fn trial(settings: &Settings, image: &str) -> Value {
    let own = std::env::current_exe().unwrap_or_default();
    let program = match &settings.supervisor {
        Supervisor::Sent => PROGRAM.to_owned(),
        Supervisor::Path(path) => path.to_string_lossy().into_owned(),
        Supervisor::Shared => own.to_string_lossy().into_owned(),
    };
    let sent = settings.program.clone().unwrap_or(own);
    let mounts: Vec<Value> = match settings.supervisor {
        Supervisor::Sent => vec![Mount::program(&sent).as_json()],
        _ => settings
            .container
            .mounts
            .iter()
            .map(Mount::as_json)
            .collect(),
    };
    json!({
        "Image": image, "Entrypoint": [program], "Cmd": ["--version"], "User": settings.user.to_string(),
        "HostConfig": {"Mounts": mounts, "NetworkMode": "none", "LogConfig": {"Type": "json-file"}},
    })
}
