//! What can be looked at from this machine.

use std::{fs, io, path::Path, time::Duration};

use jiff::Timestamp;

use super::{AdminClient, Findings};
use crate::{
    cli::{admin_client::CommandError, terminal::age},
    config::{Config, ModelEntry, Workspace, format_size},
    disk,
    executor::{Executor, Registry, Trial, trial_launch},
    job::ModelRunId,
    labelbox::{Class, Labelbox},
    outbound, server,
};

/// One question may take this long.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest answer of the listener for supervisors that is read, in bytes.
const ANSWER_LIMIT: u64 = 4096;

/// A clock that differs by more than this confuses whoever compares times.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// A model run that cannot exist: whoever may ask for runs learns that there is none.
const NO_RUN: &str = "00000000-0000-0000-0000-000000000000";

pub(super) fn folders(config: &Config, findings: &mut Findings) {
    let server = &config.server;
    for (name, path) in [
        ("state_dir", &server.state_dir),
        ("jobs_dir", &server.jobs_dir),
    ] {
        let found = try_folder(path)
            .map_err(|error| format!("{} cannot be written: {error}", path.display()));
        let found = found.and_then(|free| {
            let words = format!("{}, {} are free", path.display(), format_size(free));
            match free < server.min_free {
                true => Err(format!("{words}, less than min_free: nothing new starts")),
                false => Ok(words),
            }
        });
        findings.tell(name, found);
    }
}

/// Writes a file and takes it away again; answers how much room there is.
fn try_folder(path: &Path) -> io::Result<u64> {
    fs::create_dir_all(path)?;
    let probe = path.join(format!(".doctor-{}", std::process::id()));
    fs::write(&probe, "a few bytes").and_then(|()| fs::remove_file(&probe))?;
    disk::free(path)
}

pub(super) async fn executors(config: &Config, registry: &Registry, findings: &mut Findings) {
    let (entries, registry) = (config.executors.clone(), registry.clone());
    let built = tokio::task::spawn_blocking(move || server::build_engines(entries, &registry));
    let Ok(Ok(engines)) = built.await else {
        return findings.tell("executors", Err("they cannot be built".to_owned()));
    };
    for (name, engine) in engines {
        let checked = tokio::time::timeout(PATIENCE, engine.executor.check()).await;
        let found = match checked {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(_) => Err("it does not answer in time".to_owned()),
        };
        let answers = found.is_ok();
        findings.tell(&format!("executor {name}"), found);
        if answers {
            let models = config.models.iter().filter(|model| model.executor == name);
            for model in models {
                try_model(config, model, &*engine.executor, findings).await;
            }
        }
    }
}

/// Has the engine judge what a model's job would be, where it can without starting it.
async fn try_model(
    config: &Config,
    model: &ModelEntry,
    executor: &dyn Executor,
    findings: &mut Findings,
) {
    let launch = trial_launch(config, model, executor);
    let tried = tokio::time::timeout(PATIENCE, executor.try_launch(&launch)).await;
    let what = format!("model {} on executor {}", model.slug, model.executor);
    let found = match tried {
        Ok(Ok(None)) => return,
        Ok(Ok(Some(Trial::Doubtful(words)))) => return findings.warn(&format!("{what}: {words}")),
        Ok(Ok(Some(Trial::Fine(words)))) => Ok(words),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its engine does not answer in time".to_owned()),
    };
    findings.tell(&what, found);
}

pub(super) fn secrets(config: &Config, findings: &mut Findings) {
    for workspace in &config.workspaces {
        for reference in &workspace.webhook_secrets {
            let found = match reference.read() {
                Ok(_) => Ok(format!("{reference} can be read")),
                Err(error) => Err(error.to_string()),
            };
            findings.tell(
                &format!("workspace {}, webhook secret", workspace.name),
                found,
            );
        }
    }
}

pub(super) async fn labelbox(config: &Config, findings: &mut Findings) {
    for workspace in &config.workspaces {
        let name = format!("workspace {}, API key", workspace.name);
        findings.tell(&name, try_key(workspace).await);
        if let Some(found) = compare_clocks(&workspace.endpoint).await {
            findings.tell("clock", found);
        }
    }
}

/// Asks for a run that does not exist: only a key that may read gets that answer.
async fn try_key(workspace: &Workspace) -> Result<String, String> {
    let labelbox = Labelbox::new(&workspace.endpoint, workspace.api_key.clone(), PATIENCE);
    let run: ModelRunId = NO_RUN.parse().map_err(|_| "no id".to_owned())?;
    match labelbox.model_run(&run).await {
        Ok(_) => Ok(format!("{} takes it", workspace.endpoint)),
        // Labelbox may say that a run is not ours where it could say that there is none.
        Err(error) if error.class() == Class::ParkRun => Ok(format!(
            "{} takes it, and answers about a run that does not exist: {error}",
            workspace.endpoint
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Holds our clock against the one of Labelbox' answers; none if it does not tell.
async fn compare_clocks(endpoint: &str) -> Option<Result<String, String>> {
    let client = outbound::client_builder().timeout(PATIENCE).build().ok()?;
    let answer = client.get(endpoint).send().await.ok()?;
    let date = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let difference = Timestamp::now().duration_since(theirs).unsigned_abs();
    let words = format!("differs from Labelbox's by {} s", difference.as_secs());
    Some(match difference <= CLOCK_TOLERANCE {
        true => Ok(words),
        false => Err(format!("{words}: let it be set by NTP")),
    })
}

/// What a running server says of itself; none if none runs.
pub(super) async fn server(
    client: Result<AdminClient, CommandError>,
    findings: &mut Findings,
) -> Option<AdminClient> {
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            findings.warn(&error.to_string());
            return None;
        }
    };
    match client.get("/api/readiness").await {
        Err(CommandError::NotRunning(address)) => {
            findings.warn(&format!("no server is running at {address}"));
            return None;
        }
        Err(error) => findings.tell("server", Err(error.to_string())),
        Ok(answer) => {
            let reasons = answer["reasons"].as_array().into_iter().flatten();
            let reasons: Vec<&str> = reasons.filter_map(|reason| reason.as_str()).collect();
            let found = match reasons.is_empty() {
                true => Ok("it runs, and nothing is stuck".to_owned()),
                false => Err(reasons.join("; ")),
            };
            findings.tell("server", found);
        }
    }
    if let Ok(answer) = client.get("/api/secrets").await {
        for secret in answer["secrets"].as_array().into_iter().flatten() {
            let text = |key: &str| secret[key].as_str().unwrap_or_default();
            let used = match secret["lastUsedAt"].as_str() {
                Some(at) => format!("signed a request {} ago", age(at, Timestamp::now())),
                None => "signed nothing since the server started".to_owned(),
            };
            findings.warn(&format!(
                "workspace {}, webhook secret in {}: {used}",
                text("workspace"),
                text("place")
            ));
        }
    }
    Some(client)
}

/// Whether the address that supervisors elsewhere are given leads to the running server, as far as it can be seen from
/// here; nothing where none are heard.
pub(super) async fn jobs_url(config: &Config, findings: &mut Findings) {
    let Some(jobs) = &config.server.jobs else {
        return;
    };
    let info = server::read_server_info(&config.server.state_dir);
    let Some(address) = info.ok().flatten().and_then(|info| info.jobs) else {
        return;
    };
    let url = jobs.url_at(address);
    let found = match ask_mirror(&url).await {
        Ok(true) => Ok(format!("{url} leads to the server")),
        Ok(false) => Err(format!(
            "{url} is answered by something else: correct jobs_url, or what stands between"
        )),
        Err(error) => Err(format!("{url} cannot be reached from here: {error}")),
    };
    findings.tell("jobs_url", found);
}

/// Whether a listener of ours for supervisors answers: it alone says in our words that there is nothing at its root.
async fn ask_mirror(url: &str) -> Result<bool, String> {
    let client = outbound::client_builder().timeout(PATIENCE).build();
    let client = client.map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await;
    let answer = answer.map_err(|error| error.without_url().to_string())?;
    let refused = answer.status() == reqwest::StatusCode::NOT_FOUND;
    let length = answer.content_length();
    if !refused || length.is_none_or(|length| length > ANSWER_LIMIT) {
        return Ok(false);
    }
    let said: serde_json::Value = answer.json().await.unwrap_or_default();
    Ok(said["error"]["code"] == "not_found")
}
