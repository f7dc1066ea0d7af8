//! A launcher program of the team's own, in any language: it is called with a verb, reads JSON and writes JSON.
//!
//! Each call is short, under a time limit and with bounded output. The program keeps nothing for us: what finds an
//! attempt again is the handle that it gave out, which we keep.

mod messages;
mod table;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{
    CancelOutcome, Executor, Found, Launch, QueryError, SubmitError,
    call::{Answer, Call, CallError},
};
use crate::{
    config::Table,
    job::{Handle, Observation},
};
use messages::{Attempts, Handles, Submitted, launch_message, pack, understand, unpack};

pub use table::build;

/// The version of the messages.
const PROTOCOL: u32 = 1;

/// Bytes that an answer may have.
const OUTPUT_LIMIT: u64 = 16 * 1024 * 1024;

/// Exit codes beside 0, as sysexits has them.
mod exit {
    /// The program does not know this verb (`EX_USAGE`).
    pub(super) const UNKNOWN_VERB: i32 = 64;
    /// The launch is refused for good (`EX_DATAERR`).
    pub(super) const REJECTED: i32 = 65;
    /// There is no such attempt (`EX_NOINPUT`).
    pub(super) const NOT_FOUND: i32 = 66;
    /// Nothing was done; the same may work later (`EX_TEMPFAIL`).
    pub(super) const TRANSIENT: i32 = 75;
}

/// Runs launches by way of a program.
#[derive(Debug)]
pub struct ProgramExecutor {
    name: String,
    command: Vec<String>,
    folder: PathBuf,
    call_timeout: Duration,
    env: BTreeMap<String, String>,
    settings: Option<Map<String, Value>>,
}

impl ProgramExecutor {
    /// The message of a verb, with what every message holds.
    fn message(&self, verb: &str, more: Value) -> Value {
        let mut message = json!({
            "protocol": PROTOCOL,
            "verb": verb,
            "executor": self.name,
            "settings": self.settings.clone().unwrap_or_default(),
        });
        if let (Value::Object(message), Value::Object(more)) = (&mut message, more) {
            message.extend(more);
        }
        message
    }

    async fn call(&self, verb: &str, more: Value) -> Result<Answer, CallError> {
        let message = self.message(verb, more);
        let call = Call {
            argv: self.argv(verb),
            folder: self.folder.clone(),
            env: self.env.clone(),
            input: message.to_string().into_bytes(),
            time: self.call_timeout,
            output: OUTPUT_LIMIT,
        };
        call.run().await
    }

    fn argv(&self, verb: &str) -> Vec<String> {
        let command = self.command.iter().cloned();
        command.chain([verb.to_owned()]).collect()
    }

    /// Calls it with a question that has no side effect.
    async fn ask(&self, verb: &str, more: Value) -> Result<Answer, QueryError> {
        let answered = self.call(verb, more).await;
        answered.map_err(|error| QueryError(error.to_string()))
    }
}

#[async_trait]
impl Executor for ProgramExecutor {
    async fn submit(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let message = json!({ "launch": launch_message(launch, true) });
        let answer = match self.call("submit", message).await {
            Ok(answer) => without_secrets(launch, answer),
            Err(error @ CallError::NotStarted { .. }) => {
                return Err(SubmitError::Transient(error.to_string()));
            }
            Err(error) => return Err(SubmitError::Ambiguous(error.to_string())),
        };
        let said = || answer.complaint();
        match answer.code {
            Some(0) => {}
            Some(exit::REJECTED) => return Err(SubmitError::Rejected(said())),
            Some(exit::TRANSIENT) => return Err(SubmitError::Transient(said())),
            // Whatever else went wrong may have gone wrong after the start.
            _ => return Err(SubmitError::Ambiguous(said())),
        }
        let submitted = understand::<Submitted>("submit", &answer);
        let submitted = submitted.map_err(|error| SubmitError::Ambiguous(error.0))?;
        Ok(pack(launch.id, submitted.handle))
    }

    async fn find(&self, launch: &Launch) -> Result<Found, QueryError> {
        let message = json!({ "launch": launch_message(launch, false) });
        let answer = self.ask("find", message).await?;
        match answer.code {
            Some(0) => {}
            Some(exit::NOT_FOUND) => return Ok(Found::Absent),
            Some(exit::UNKNOWN_VERB) => return Ok(Found::Unknowable),
            _ => return Err(QueryError(answer.to_string())),
        }
        let Handles { handles } = understand("find", &answer)?;
        Ok(match handles {
            None => Found::Unknowable,
            Some(handles) if handles.is_empty() => Found::Absent,
            Some(handles) => {
                let handles = handles.into_iter().map(|handle| pack(launch.id, handle));
                Found::Attempts(handles.collect())
            }
        })
    }

    async fn observe(&self, handles: &[Handle]) -> Vec<Result<Observation, QueryError>> {
        let unpacked: Vec<_> = handles.iter().map(unpack).collect();
        let known = unpacked.iter().filter_map(|one| one.as_ref().ok());
        let message = json!({ "attempts": known.collect::<Vec<_>>() });
        let answered = self.ask("observe", message).await;
        let answered = answered.and_then(|answer| match answer.code {
            Some(0) => understand::<Attempts>("observe", &answer),
            _ => Err(QueryError(answer.to_string())),
        });
        let mut answers = answered.map(Attempts::into_answers);
        let one = |(handle, unpacked): (&Handle, Result<Value, QueryError>)| {
            unpacked?;
            match &mut answers {
                Ok(answers) => answers.next_of(handle.launch_id),
                Err(error) => Err(error.clone()),
            }
        };
        handles.iter().zip(unpacked).map(one).collect()
    }

    async fn cancel(&self, handle: &Handle, grace: Duration) -> Result<CancelOutcome, QueryError> {
        let mut message = unpack(handle)?;
        message["grace_seconds"] = grace.as_secs_f64().into();
        let answer = self.ask("cancel", message).await?;
        match answer.code {
            Some(0) => Ok(CancelOutcome::Requested),
            Some(exit::NOT_FOUND) => Ok(CancelOutcome::AlreadyEnded),
            _ => Err(QueryError(answer.to_string())),
        }
    }

    async fn cleanup(&self, handle: &Handle) -> Result<(), QueryError> {
        let answer = self.ask("cleanup", unpack(handle)?).await?;
        match answer.code {
            Some(0 | exit::NOT_FOUND | exit::UNKNOWN_VERB) => Ok(()),
            _ => Err(QueryError(answer.to_string())),
        }
    }

    /// Whatever keys there are, the program gets them.
    fn check_model(&self, table: &mut Table) {
        let keys: Vec<String> = table.keys().map(str::to_owned).collect();
        for key in keys {
            let _taken = table.value(&key);
        }
    }

    async fn plan(&self, launch: &Launch) -> Result<String, SubmitError> {
        let message = self.message("submit", json!({ "launch": launch_message(launch, true) }));
        let message = serde_json::to_string_pretty(&message);
        let message = message.map_err(|error| SubmitError::Rejected(error.to_string()))?;
        Ok(format!(
            "{} <<'JSON'\n{message}\nJSON\n",
            self.argv("submit").join(" ")
        ))
    }

    async fn check(&self) -> Result<String, QueryError> {
        let answer = self.ask("check", json!({})).await?;
        match answer.code {
            Some(0) => {
                let line = answer.output.lines().next().unwrap_or_default().trim();
                let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
                Ok(if line.is_empty() {
                    "usable".to_owned()
                } else {
                    line
                })
            }
            Some(exit::UNKNOWN_VERB) => Ok("it does not know the verb check".to_owned()),
            _ => Err(QueryError(answer.to_string())),
        }
    }

    async fn engine_log(&self, handle: &Handle) -> Option<String> {
        let answer = self.ask("logs", unpack(handle).ok()?).await.ok()?;
        (answer.code == Some(0)).then_some(answer.output)
    }

    fn poll_pause(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// What the program says of errors must not hold the values that were given to it.
fn without_secrets(launch: &Launch, mut answer: Answer) -> Answer {
    /// A value this short is no secret, and could be part of any word.
    const SHORTEST: usize = 6;
    let values = launch.env.values().map(|value| value.expose());
    let secrets = values.filter(|value| value.len() >= SHORTEST);
    for secret in secrets {
        answer.errors = answer.errors.replace(secret, "[redacted]");
    }
    answer
}
