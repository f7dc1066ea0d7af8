//! Starting a container that was made, with its variables on the way.

use bollard::{Docker, query_parameters::AttachContainerOptionsBuilder};
use serde_json::Map;
use tokio::io::AsyncWriteExt;

use super::{engine::Fault, words};
use crate::executor::{Launch, SubmitError};

/// Starts a container that was made, and hands it the variables.
pub(super) async fn start(
    docker: &Docker,
    container: &str,
    launch: &Launch,
) -> Result<(), SubmitError> {
    // Held until it has started: the engine passes on what was sent by then.
    let _input = match launch.env.is_empty() {
        true => None,
        false => Some(send_env(docker, container, launch).await?),
    };
    match docker
        .start_container(container, None)
        .await
        .map_err(Fault::from)
    {
        Ok(()) | Err(Fault::Refused { status: 304, .. }) => Ok(()),
        Err(fault @ Fault::Refused { .. }) => {
            // It cannot be started as it is. If this fails, the next look for it removes it.
            let _ = docker.remove_container(container, None).await;
            let words = words::explained(&fault.to_string());
            Err(match words::is_final(&words) {
                true => SubmitError::Rejected(words),
                false => SubmitError::Transient(words),
            })
        }
        Err(fault) => Err(fault.of_submit()),
    }
}

/// Sends the variables to where the supervisor will read them, as one line.
async fn send_env(
    docker: &Docker,
    container: &str,
    launch: &Launch,
) -> Result<impl Send + use<>, SubmitError> {
    let failed =
        |why: String| SubmitError::Transient(format!("cannot hand the variables over: {why}"));
    let options = AttachContainerOptionsBuilder::new()
        .stdin(true)
        .stream(true)
        .build();
    let attached = docker.attach_container(container, Some(options)).await;
    let mut attached = attached.map_err(|error| failed(Fault::from(error).to_string()))?;
    let env: Map<_, _> = launch
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.expose().into()))
        .collect();
    let mut line = serde_json::to_vec(&env).map_err(|error| failed(error.to_string()))?;
    line.push(b'\n');
    attached
        .input
        .write_all(&line)
        .await
        .map_err(|error| failed(error.to_string()))?;
    attached
        .input
        .flush()
        .await
        .map_err(|error| failed(error.to_string()))?;
    Ok(attached)
}
