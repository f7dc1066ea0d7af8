//! What is said to a launcher program, and how its answers are understood.

use std::collections::HashMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    executor::{Launch, QueryError, call::Answer},
    job::{Cause, Exit, Handle, LaunchId, Observation, Phase},
};

/// The version of a handle's data.
const HANDLE_VERSION: u32 = 1;

/// A launch in a message. Its variables are told only where it is to be started.
pub(super) fn launch_message(launch: &Launch, with_env: bool) -> Value {
    let mut message = json!({
        "id": launch.id,
        "argv": launch.argv,
        "job_dir": launch.attempt_dir,
        "resources": launch.resources,
        "devices": launch.devices,
        "run_timeout_seconds": launch.run_timeout.map(|time| time.as_secs()),
        "cancel_grace_seconds": launch.cancel_grace.as_secs_f64(),
        "settings": launch.settings,
    });
    if with_env {
        let env = launch.env.iter();
        let env: Map<String, Value> = env
            .map(|(name, value)| (name.clone(), value.expose().into()))
            .collect();
        message["env"] = env.into();
    }
    message
}

pub(super) fn pack(launch_id: LaunchId, handle: Value) -> Handle {
    Handle {
        launch_id,
        version: HANDLE_VERSION,
        data: handle,
        place: None,
    }
}

/// As messages name an attempt.
pub(super) fn unpack(handle: &Handle) -> Result<Value, QueryError> {
    let data: Value = handle.unpack(HANDLE_VERSION)?;
    Ok(json!({ "launch_id": handle.launch_id, "handle": data }))
}

pub(super) fn understand<T: DeserializeOwned>(
    verb: &str,
    answer: &Answer,
) -> Result<T, QueryError> {
    serde_json::from_str(&answer.output).map_err(|error| {
        QueryError(format!(
            "the program's answer to {verb} cannot be understood: {error}"
        ))
    })
}

/// The answer to `submit`.
#[derive(Debug, Deserialize)]
pub(super) struct Submitted {
    /// Whatever finds the attempt again.
    pub(super) handle: Value,
}

/// The answer to `find`.
#[derive(Debug, Deserialize)]
pub(super) struct Handles {
    /// One for each attempt of that name; empty if there is positively nothing, null if it cannot tell.
    pub(super) handles: Option<Vec<Value>>,
}

/// The answer to `observe`.
#[derive(Debug, Deserialize)]
pub(super) struct Attempts {
    attempts: Vec<Value>,
}

/// Where one attempt is.
#[derive(Debug, Deserialize)]
struct Seen {
    #[serde(default)]
    phase: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    code: Option<i32>,
    #[serde(default)]
    signal: Option<i32>,
    #[serde(default)]
    cause: Option<String>,
    #[serde(default)]
    leftovers: bool,
    #[serde(default)]
    error: Option<String>,
}

/// Answers by launch; where one launch was asked for twice, in their order.
#[derive(Debug)]
pub(super) struct Answers {
    by_launch: HashMap<String, std::collections::VecDeque<Value>>,
}

impl Attempts {
    pub(super) fn into_answers(self) -> Answers {
        let mut answers = Answers {
            by_launch: HashMap::new(),
        };
        for attempt in self.attempts {
            let launch_id = attempt.get("launch_id").and_then(Value::as_str);
            let Some(launch_id) = launch_id.map(str::to_owned) else {
                continue;
            };
            let same = answers.by_launch.entry(launch_id).or_default();
            same.push_back(attempt);
        }
        answers
    }
}

impl Answers {
    pub(super) fn next_of(&mut self, launch_id: LaunchId) -> Result<Observation, QueryError> {
        let same = self.by_launch.get_mut(&launch_id.to_string());
        let answer = same.and_then(std::collections::VecDeque::pop_front);
        let answer =
            answer.ok_or_else(|| QueryError("the program said nothing of it".to_owned()))?;
        let seen: Seen = serde_json::from_value(answer).map_err(|error| {
            QueryError(format!(
                "what the program said of it cannot be understood: {error}"
            ))
        })?;
        seen.into_observation()
    }
}

impl Seen {
    fn into_observation(self) -> Result<Observation, QueryError> {
        if let Some(error) = self.error {
            return Err(QueryError(error));
        }
        let word = self
            .phase
            .ok_or_else(|| QueryError("the program told no phase".to_owned()))?;
        let phase = match word.as_str() {
            "queued" => Phase::Queued,
            "starting" => Phase::Starting,
            "running" => Phase::Running,
            "stopping" => Phase::Stopping,
            "gone" => Phase::Gone,
            "exited" => Phase::Exited(Exit {
                code: self.code,
                signal: self.signal,
                cause: self.cause.as_deref().and_then(cause),
            }),
            _ => Phase::Unknown(word),
        };
        Ok(Observation {
            phase,
            reason: self.reason.filter(|reason| !reason.trim().is_empty()),
            leftovers: self.leftovers,
        })
    }
}

/// The causes that an engine may know.
fn cause(word: &str) -> Option<Cause> {
    const KNOWN: [Cause; 7] = [
        Cause::OutOfMemory,
        Cause::Preempted,
        Cause::NodeLost,
        Cause::Infra,
        Cause::StartFailed,
        Cause::RunTimeout,
        Cause::JobError,
    ];
    KNOWN.into_iter().find(|cause| cause.as_str() == word)
}
