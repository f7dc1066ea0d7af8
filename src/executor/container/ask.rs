//! What is asked of an engine about its containers, and asked again where the answer is of a moment only.

use std::time::Duration;

use bollard::{
    Docker,
    errors::Error,
    models::{ContainerInspectResponse, ContainerSummary},
    query_parameters::ListContainersOptions,
};

use super::engine::Fault;

/// A question whose answer is not meant to last is asked again so often, after so long.
const RETRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// The containers that `options` want.
pub(super) async fn list(
    docker: &Docker,
    options: ListContainersOptions,
) -> Result<Vec<ContainerSummary>, Fault> {
    let ask = || docker.list_containers(Some(options.clone()));
    until_it_lasts(ask).await
}

/// A container, by its id or name.
pub(super) async fn inspect(
    docker: &Docker,
    container: &str,
) -> Result<ContainerInspectResponse, Fault> {
    until_it_lasts(|| docker.inspect_container(container, None)).await
}

async fn until_it_lasts<T, F: Future<Output = Result<T, Error>>>(
    ask: impl Fn() -> F,
) -> Result<T, Fault> {
    for _ in 0..RETRIES {
        match ask().await {
            // Podman tells of a container that has ended, until it has noted how, in a word that Docker's API has not
            // ("stopped").
            Err(Error::JsonDataError { .. }) => {}
            // It also answers with an error when a container, anybody's, is removed while it lists them.
            answer => match answer.map_err(Fault::from) {
                Err(fault) if fault.is_removal_meanwhile() => {}
                answer => return answer,
            },
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(ask().await?)
}
