//! Where containers are: one list for all of them, and a closer look at those that have ended.

use std::collections::{BTreeSet, HashMap};

use bollard::{
    Docker,
    models::{ContainerState, ContainerSummary, ContainerSummaryStateEnum as State},
    query_parameters::ListContainersOptionsBuilder,
};
use futures_util::StreamExt;

use super::{
    ask,
    engine::{Engine, Fault},
    handle::{ContainerHandle, SERVER_LABEL},
    settings::Settings,
    words,
};
use crate::{
    executor::QueryError,
    job::{Cause, Exit, Handle, Observation, Phase},
    job_dir::AttemptDir,
    process,
};

/// Ended containers that are looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// The exit code of a supervisor whose command was ended by a SIGTERM: 128 and its number.
const TERMINATED: i32 = 128 + 15;

type Listed = HashMap<String, ContainerSummary>;

/// One answer for each handle.
pub(super) async fn observe(
    settings: &Settings,
    handles: &[Handle],
) -> Vec<Result<Observation, QueryError>> {
    let unpack = |handle| settings.engine.own(handle);
    let handles: Vec<_> = handles.iter().map(unpack).collect();
    let servers: BTreeSet<&str> = handles
        .iter()
        .flatten()
        .map(|handle| handle.server.as_str())
        .collect();
    let (docker, listed) = match list(&settings.engine, &servers).await {
        Ok(answer) => answer,
        Err(fault) => {
            let answer =
                |handle: Result<_, QueryError>| Err(handle.err().unwrap_or(fault.clone().into()));
            return handles.into_iter().map(answer).collect();
        }
    };
    let looks = handles.into_iter().map(|handle| async {
        let handle = handle?;
        let observed = look(&docker, &listed, &handle).await?;
        Ok(if settings.locks_hold() {
            weigh(observed, handle).await?
        } else {
            observed
        })
    });
    futures_util::stream::iter(looks)
        .buffered(LOOKS_AT_ONCE)
        .collect()
        .await
}

async fn list(engine: &Engine, servers: &BTreeSet<&str>) -> Result<(Docker, Listed), Fault> {
    let docker = engine.connect_often().await?;
    let mut listed = HashMap::new();
    for server in servers {
        let filters = HashMap::from([("label", vec![format!("{SERVER_LABEL}={server}")])]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let found = ask::list(&docker, options).await?;
        listed.extend(
            found
                .into_iter()
                .filter_map(|one| Some((one.id.clone()?, one))),
        );
    }
    Ok((docker, listed))
}

async fn look(
    docker: &Docker,
    listed: &Listed,
    handle: &ContainerHandle,
) -> Result<Observation, Fault> {
    let found = listed.get(&handle.container);
    let Some(found) = found.filter(|found| handle.is_on(found.labels.as_ref())) else {
        return Ok(observation(Phase::Gone, None));
    };
    let phase = match found.state {
        Some(State::RUNNING) => Phase::Running,
        Some(State::PAUSED) => {
            return Ok(observation(
                Phase::Running,
                Some("it is paused on the engine".to_owned()),
            ));
        }
        Some(State::REMOVING | State::STOPPING) => Phase::Stopping,
        Some(State::CREATED | State::EXITED | State::DEAD) => {
            return closer(docker, &handle.container).await;
        }
        Some(other) => Phase::Unknown(other.to_string()),
        None => Phase::Unknown("no state".to_owned()),
    };
    Ok(observation(phase, None))
}

async fn closer(docker: &Docker, container: &str) -> Result<Observation, Fault> {
    let found = match ask::inspect(docker, container).await {
        Ok(found) => found,
        Err(fault) if fault.is_absence() => return Ok(observation(Phase::Gone, None)),
        Err(fault) => return Err(fault),
    };
    let state = found.state.unwrap_or_default();
    let reason = state
        .error
        .as_deref()
        .filter(|error| !error.is_empty())
        .map(words::explained);
    let was_begun = state
        .started_at
        .as_deref()
        .is_some_and(|at| !at.is_empty() && !at.starts_with("0001-"));
    if !was_begun && reason.is_none() {
        return Ok(observation(Phase::Starting, None));
    }
    Ok(observation(Phase::Exited(exit_of(&state)), reason))
}

fn exit_of(state: &ContainerState) -> Exit {
    let code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    let cause = match code {
        _ if state.oom_killed == Some(true) => Some(Cause::OutOfMemory),
        // Only believed where we have not asked it to stop: then it was the engine, which is being stopped, or somebody
        // at it. The machine is not to blame, nor is the command.
        Some(TERMINATED) => Some(Cause::Preempted),
        _ => None,
    };
    Exit {
        code,
        signal: None,
        cause,
    }
}

/// What our own kernel knows better than an engine: whether the supervisor lives, and whether it could.
async fn weigh(observed: Observation, handle: ContainerHandle) -> Result<Observation, QueryError> {
    if !matches!(observed.phase, Phase::Exited(_) | Phase::Gone) {
        return Ok(observed);
    }
    let weighed = tokio::task::spawn_blocking(move || {
        let dir = AttemptDir::at(handle.attempt_dir);
        if dir.is_locked()? {
            return Ok(observation(
                Phase::Unknown("its engine has lost it, and it runs".to_owned()),
                None,
            ));
        }
        let claim = dir.read_claim()?;
        let is_of_another_boot = claim.is_some_and(|claim| claim.boot_id != process::boot_id());
        Ok(match observed.phase {
            Phase::Exited(exit) if is_of_another_boot => observation(
                Phase::Exited(Exit {
                    cause: Some(Cause::NodeLost),
                    ..exit
                }),
                observed.reason,
            ),
            _ => observed,
        })
    });
    let weighed: std::io::Result<Observation> = weighed
        .await
        .map_err(|error| QueryError(error.to_string()))?;
    weighed.map_err(|error| QueryError(format!("the attempt's folder cannot be read: {error}")))
}

fn observation(phase: Phase, reason: Option<String>) -> Observation {
    Observation {
        phase,
        reason,
        leftovers: false,
    }
}
