//! What reaches a command, and what it leaves.

use std::{collections::BTreeMap, fs};

use super::{
    Complaint, Promise, Tried, list,
    stand::Stand,
    trial::{Trial, ended, failed_with, noted, notes, output},
};
use crate::{
    config::{EnvValue, SecretRef},
    job::Cause,
};

/// Bytes of the large file.
const LARGE: usize = 8 * 1024 * 1024;

/// Variables that every command finds.
const GIVEN: [&str; 8] = [
    "TRAINHOOK_JOB_ID",
    "TRAINHOOK_LAUNCH_ID",
    "TRAINHOOK_JOB_DIR",
    "TRAINHOOK_OUT_DIR",
    "TRAINHOOK_DATA_DIR",
    "TRAINHOOK_EVENTS_FILE",
    "TRAINHOOK_MODEL_RUN_ID",
    "PATH",
];

/// Names of variables that hold what nobody may see.
const SECRET_WORDS: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL"];

pub(super) fn promises() -> [Promise; 6] {
    list![
        (
            "reason",
            "the first line of out/failure is the reason that people see",
            tells_the_reason
        ),
        (
            "log",
            "standard output and error arrive in the log",
            keeps_the_log
        ),
        (
            "environment",
            "the model's variables and trainhook's are there",
            gives_the_environment
        ),
        (
            "own_secrets",
            "nothing secret of the server's environment is there",
            keeps_own_secrets
        ),
        (
            "secrets",
            "a secret variable is in no program's arguments",
            keeps_secrets
        ),
        (
            "big_outputs",
            "large outputs arrive whole, and a long log is bounded",
            carries_large_outputs
        ),
    ]
}

async fn tells_the_reason(stand: &mut Stand) -> Tried {
    let script = "echo 'too few labels of class cat' > \"$TRAINHOOK_OUT_DIR/failure\"; exit 2";
    let job = Trial::new(stand, script).finish(stand).await?;
    failed_with(&job, &[Cause::JobError], "too few labels of class cat")
}

async fn keeps_the_log(stand: &mut Stand) -> Tried {
    let script = "echo one; echo two >&2; echo three";
    let job = Trial::new(stand, script).succeed(stand).await?;
    let log = output(&stand.attempt_dir(&job), "log/output.log")?;
    match log.contains("one\ntwo\nthree\n") {
        true => Ok(()),
        false => Err(format!("the log is {log:?}").into()),
    }
}

/// The variables of a command with this one in its model's `env`.
async fn environment(stand: &Stand) -> Result<BTreeMap<String, String>, Complaint> {
    let script = "env > \"$TRAINHOOK_OUT_DIR/env\"";
    let text = "a text; with 'quotes' \"and\" $signs";
    let trial = Trial::new(stand, script);
    let trial = trial.with_env("CONFORMANCE_TEXT", EnvValue::Text(text.to_owned()));
    let job = trial.succeed(stand).await?;
    let env = output(&stand.attempt_dir(&job), "out/env")?;
    let pairs = env.lines().filter_map(|line| line.split_once('='));
    let env: BTreeMap<String, String> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    match env.get("CONFORMANCE_TEXT") {
        Some(value) if value == text => Ok(env),
        other => Err(format!("the model's variable arrived as {other:?}").into()),
    }
}

async fn gives_the_environment(stand: &mut Stand) -> Tried {
    let env = environment(stand).await?;
    let missing: Vec<&str> = GIVEN
        .into_iter()
        .filter(|name| !env.contains_key(*name))
        .collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(format!("missing: {}", missing.join(", ")).into()),
    }
}

async fn keeps_own_secrets(stand: &mut Stand) -> Tried {
    let env = environment(stand).await?;
    let workspaces = stand.settings().workspaces.iter();
    let references = workspaces.flat_map(|one| one.webhook_secrets.iter().chain([&one.api_key]));
    let named: Vec<&str> = references
        .filter_map(|reference| match reference {
            SecretRef::Env(name) => Some(name.as_str()),
            SecretRef::File(_) => None,
        })
        .collect();
    let is_secret = |name: &str| {
        named.contains(&name)
            || SECRET_WORDS
                .iter()
                .any(|word| name.to_uppercase().contains(word))
    };
    let seen = std::env::vars().filter(|(name, value)| {
        is_secret(name) && !value.is_empty() && env.get(name) == Some(value)
    });
    let seen: Vec<String> = seen.map(|(name, _)| name).collect();
    match seen.as_slice() {
        [] => Ok(()),
        seen => Err(format!("the command sees {}", seen.join(", ")).into()),
    }
}

async fn keeps_secrets(stand: &mut Stand) -> Tried {
    let secret = format!("conformance-{}", uuid::Uuid::new_v4());
    let file = stand.state_dir().join("model-secret");
    fs::write(&file, &secret).map_err(|error| format!("cannot write a secret: {error}"))?;
    let script = "note length-$(($(printf %s \"$CONFORMANCE_SECRET\" | wc -c)))\nnote ready";
    let trial = Trial::until_stopped_after(stand, script);
    let reference = EnvValue::Secret(SecretRef::File(file));
    let job = trial
        .with_env("CONFORMANCE_SECRET", reference)
        .run(stand)
        .await?;
    noted(stand, &job, "ready").await?;
    if let Some(program) = program_naming(&secret) {
        return Err(format!("the arguments of {program} hold it").into());
    }
    stand.cancel(job.id).await?;
    ended(stand, job.id).await?;
    let length = format!("length-{}", secret.len());
    match notes(&stand.attempt_dir(&job), &length)? {
        1 => Ok(()),
        _ => Err("the command did not get it".to_owned().into()),
    }
}

/// A program of this machine that has the text in its arguments.
fn program_naming(text: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let mut lines = arguments.map(|line| String::from_utf8_lossy(&line).into_owned());
    let line = lines.find(|line| line.contains(text))?;
    line.split('\0').next().map(str::to_owned)
}

async fn carries_large_outputs(stand: &mut Stand) -> Tried {
    let script = format!(
        "head -c {LARGE} /dev/zero | tr '\\0' x > \"$TRAINHOOK_OUT_DIR/large\"\n\
         head -c {LARGE} /dev/zero | tr '\\0' y\necho; echo the last line"
    );
    let job = Trial::new(stand, &script).succeed(stand).await?;
    let dir = stand.attempt_dir(&job);
    let large = output(&dir, "out/large")?;
    if large.len() != LARGE || large.bytes().any(|byte| byte != b'x') {
        return Err(format!("of {LARGE} bytes {} arrived", large.len()).into());
    }
    let tail = dir.log_tail(1024);
    let tail = tail.map_err(|error| format!("cannot read its log: {error}"))?;
    if !String::from_utf8_lossy(&tail.bytes).contains("the last line") {
        return Err("the end of a long log is missing".to_owned().into());
    }
    let kept: u64 = fs::read_dir(dir.log_dir())
        .map_err(|error| format!("cannot read its log: {error}"))?
        .flatten()
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .sum();
    match kept < LARGE as u64 / 2 {
        true => Ok(()),
        false => Err(format!("{kept} bytes of log were kept of a limit of 65536").into()),
    }
}
