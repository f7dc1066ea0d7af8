//! A kubeconfig's credential plugin (`users[].user.exec`, client.authentication.k8s.io): a program of the cluster's
//! provider, such as `aws eks get-token`, that tells credentials.
//!
//! We call it ourselves: within a time limit, with no terminal, and with nothing in our errors of what it was given or
//! said, which are secrets.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;

use crate::executor::call::{Answer, Call};

/// It answers within this, or it is killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes read of its answer.
const LIMIT: u64 = 1024 * 1024;

/// Credentials are taken for expired so long before they are.
const MARGIN: Duration = Duration::from_secs(30);

/// Its answer.
#[derive(Deserialize)]
struct Credential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Puts what the plugin tells in its place, if there is one; answers until when that holds, if it says so.
///
/// # Errors
/// Why it told nothing, for people.
pub(super) async fn resolve(user: &mut AuthInfo) -> Result<Option<Instant>, String> {
    let Some(exec) = user.exec.take() else {
        return Ok(None);
    };
    let program = exec.command.clone().unwrap_or_default();
    let failed = |why: String| format!("the kubeconfig's credential plugin {program:?} {why}");
    let status = ask(exec).await.map_err(failed)?;
    let pem = |text: String| STANDARD.encode(text);
    user.token = status.token.map(Into::into);
    user.client_certificate_data = status.client_certificate_data.map(pem);
    user.client_key_data = status.client_key_data.map(|text| pem(text).into());
    Ok(status.expiration_timestamp.map(expiry))
}

fn expiry(at: Timestamp) -> Instant {
    let left = Timestamp::now().duration_until(at);
    let left = Duration::try_from(left).unwrap_or_default();
    Instant::now() + left.saturating_sub(MARGIN)
}

async fn ask(exec: ExecConfig) -> Result<Status, String> {
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(
            "wants a terminal, which a server has not (interactiveMode: Always)".to_owned(),
        );
    }
    let answer = call_of(exec)?
        .run()
        .await
        .map_err(|error| error.to_string())?;
    let status = understand(&answer)?;
    if status.token.is_none() && status.client_certificate_data.is_none() {
        return Err("told neither a token nor a certificate".to_owned());
    }
    Ok(status)
}

fn call_of(exec: ExecConfig) -> Result<Call, String> {
    let spec = json!({"interactive": false, "cluster": exec.cluster.filter(|_| exec.provide_cluster_info)});
    let info = json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec});
    // It finds its own settings where its provider's other programs do.
    let inherited = std::env::vars_os();
    let inherited = inherited
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut env: BTreeMap<String, String> = inherited.collect();
    for variable in exec.env.unwrap_or_default() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            env.insert(name.clone(), value.clone());
        }
    }
    env.insert("KUBERNETES_EXEC_INFO".to_owned(), info.to_string());
    let program = exec.command.ok_or("has no command")?;
    let arguments = exec.args.unwrap_or_default();
    Ok(Call {
        argv: [program].into_iter().chain(arguments).collect(),
        folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        env,
        input: Vec::new(),
        time: PATIENCE,
        output: LIMIT,
    })
}

fn understand(answer: &Answer) -> Result<Status, String> {
    if answer.code != Some(0) {
        let how = match answer.code {
            Some(code) => format!("exit code {code}"),
            None => "a signal".to_owned(),
        };
        return Err(format!("failed ({how}): run it by hand to see why"));
    }
    let credential: Result<Credential, _> = serde_json::from_str(&answer.output);
    let status = credential.ok().and_then(|credential| credential.status);
    status
        .ok_or_else(|| "did not answer with an ExecCredential in JSON that has a status".to_owned())
}
