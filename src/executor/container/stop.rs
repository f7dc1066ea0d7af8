//! Ending containers, removing them, and their last words.

use std::time::Duration;

use bollard::{
    Docker,
    models::ContainerStateStatusEnum as Status,
    query_parameters::{
        LogsOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use futures_util::{StreamExt, pin_mut};

use super::{
    ask,
    body::SUPERVISOR_GRACE,
    engine::{Engine, Fault},
    handle::ContainerHandle,
    words,
};
use crate::{
    executor::{CancelOutcome, QueryError, wish::wish_cancel_in},
    job::Handle,
};

/// Lines and bytes shown of what a container has said.
const LOG_LINES: &str = "50";
const LOG_LIMIT: usize = 64 * 1024;

/// Asks the supervisor first, and the engine to see to it.
pub(super) async fn cancel(
    engine: &Engine,
    handle: &Handle,
    grace: Duration,
) -> Result<CancelOutcome, QueryError> {
    let handle = engine.own(handle)?;
    let docker = engine.connect().await?;
    match status(&docker, &handle).await? {
        None | Some(Status::EXITED | Status::DEAD) => return Ok(CancelOutcome::AlreadyEnded),
        Some(Status::CREATED) => {
            remove(&docker, &handle.container).await?;
            return Ok(CancelOutcome::AlreadyEnded);
        }
        // It could not hear us.
        Some(Status::PAUSED) => docker
            .unpause_container(&handle.container)
            .await
            .map_err(Fault::from)?,
        Some(_) => {}
    }
    wish_cancel_in(handle.attempt_dir.clone(), grace).await?;
    // The engine answers when it has ended, which is too long to wait here. If this is cut off, the server asks again.
    tokio::spawn(async move {
        if let Err(fault) = stop(docker, &handle.container, grace).await {
            tracing::debug!(container = handle.container, "not stopped: {fault}");
        }
    });
    Ok(CancelOutcome::Requested)
}

/// SIGTERM, and SIGKILL when the supervisor has had time to do the same to the command and write its record.
async fn stop(mut docker: Docker, container: &str, grace: Duration) -> Result<(), Fault> {
    let patience = grace.as_secs() + SUPERVISOR_GRACE;
    docker.set_timeout(Duration::from_secs(patience + SUPERVISOR_GRACE));
    let seconds = i32::try_from(patience).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::new().t(seconds).build();
    match docker
        .stop_container(container, Some(options))
        .await
        .map_err(Fault::from)
    {
        Err(Fault::Refused {
            status: 304 | 404, ..
        }) => Ok(()),
        stopped => stopped,
    }
}

/// Ends and removes the container, if it is ours.
pub(super) async fn cleanup(engine: &Engine, handle: &Handle) -> Result<(), QueryError> {
    let handle = engine.own(handle)?;
    let docker = engine.connect().await?;
    match status(&docker, &handle).await? {
        None => Ok(()),
        Some(_) => Ok(remove(&docker, &handle.container).await?),
    }
}

/// None if there is no such container, or it is not the attempt's.
async fn status(docker: &Docker, handle: &ContainerHandle) -> Result<Option<Status>, Fault> {
    let found = match ask::inspect(docker, &handle.container).await {
        Ok(found) => found,
        Err(fault) if fault.is_absence() => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let labels = found.config.and_then(|config| config.labels);
    let status = found
        .state
        .and_then(|state| state.status)
        .unwrap_or(Status::EMPTY);
    Ok(Some(status).filter(|_| handle.is_on(labels.as_ref())))
}

async fn remove(docker: &Docker, container: &str) -> Result<(), Fault> {
    let options = RemoveContainerOptionsBuilder::new()
        .force(true)
        .v(true)
        .build();
    match docker
        .remove_container(container, Some(options))
        .await
        .map_err(Fault::from)
    {
        Err(fault) if fault.is_absence() => Ok(()),
        removed => removed,
    }
}

/// The last lines of what a supervisor has said, and what they mean.
pub(super) async fn last_words(engine: &Engine, handle: &Handle) -> Option<String> {
    let handle = engine.own(handle).ok()?;
    let docker = engine.connect().await.ok()?;
    let text = log(&docker, &handle.container).await;
    // The last line is what people are shown.
    let last = text.lines().next_back().unwrap_or_default();
    let meaning = words::meaning(&text).map(|meaning| format!("\n{meaning} ({last})"));
    Some(text.clone() + &meaning.unwrap_or_default())
}

/// As far as it can be read.
pub(super) async fn log(docker: &Docker, container: &str) -> String {
    let options = LogsOptionsBuilder::new()
        .stdout(true)
        .stderr(true)
        .tail(LOG_LINES)
        .build();
    let lines = docker.logs(container, Some(options));
    pin_mut!(lines);
    let mut text = Vec::new();
    while let Some(Ok(line)) = lines.next().await {
        text.extend_from_slice(&line.into_bytes());
        if text.len() >= LOG_LIMIT {
            break;
        }
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}
