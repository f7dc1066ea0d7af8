//! The command line's way to a running server: its address and token stand in `state_dir`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::{config, outbound, server};

/// One call may take this long.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Something large may take this long.
const STREAM_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// The longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// Which server a command means.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ServerArgs {
    /// The settings of the server that is meant.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "models.toml",
        global = true
    )]
    config: PathBuf,
}

/// A server that can be asked.
#[derive(Debug)]
pub(super) struct AdminClient {
    base: String,
    token: config::Secret,
    http: reqwest::Client,
}

/// Why a command failed; a sentence for people, and the exit code that goes with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// The settings, or the arguments, are wrong.
    #[error("{0}")]
    Settings(String),
    /// The server cannot be reached.
    #[error("no server is running at {0}: start it with `trainhook serve`")]
    NotRunning(String),
    /// The server was reached and did not answer, or not to the end.
    #[error("the server did not answer: {0}")]
    Unanswered(String),
    /// The server refused, or did not answer well.
    #[error("{0}")]
    Refused(String),
    /// What was waited for did not come in time.
    #[error("{0}")]
    OutOfTime(String),
}

impl CommandError {
    /// 2 for what the caller wrote, 3 for what took too long, 1 for the rest.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => 2,
            Self::NotRunning(_) | Self::Unanswered(_) | Self::Refused(_) => 1,
            Self::OutOfTime(_) => 3,
        }
    }

    /// Whether the server is away, as while it is restarted: the same call may succeed later.
    pub(super) const fn is_away(&self) -> bool {
        matches!(self, Self::NotRunning(_) | Self::Unanswered(_))
    }
}

impl ServerArgs {
    /// The server of these settings.
    pub(super) const fn of(config: PathBuf) -> Self {
        Self { config }
    }

    /// Finds the server; it is not asked yet.
    pub(super) fn connect(&self) -> Result<AdminClient, CommandError> {
        let settings = |text: String| CommandError::Settings(text);
        let parsed = config::read(&self.config).map_err(|error| settings(error.to_string()))?;
        let config = parsed.config.ok_or_else(|| {
            settings(format!(
                "{} has mistakes: see `trainhook check`",
                self.config.display()
            ))
        })?;
        let state_dir = &config.server.state_dir;
        let info = server::read_server_info(state_dir)
            .map_err(|error| settings(format!("cannot read {}: {error}", state_dir.display())))?;
        let address = info.map_or(config.server.admin_listen, |info| info.admin);
        let token = read_token(state_dir, &address.to_string())?;
        let base = format!("http://{address}");
        let http = outbound::client_builder_for(&base)
            .timeout(CALL_LIMIT)
            .build();
        let http =
            http.map_err(|error| CommandError::Refused(format!("cannot make a client: {error}")))?;
        Ok(AdminClient { base, token, http })
    }
}

fn read_token(state_dir: &Path, address: &str) -> Result<config::Secret, CommandError> {
    let path = server::admin_token_path(state_dir);
    match std::fs::read_to_string(&path) {
        Ok(token) => Ok(config::Secret::new(token.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(CommandError::NotRunning(address.to_owned()))
        }
        Err(error) => Err(CommandError::Settings(format!(
            "cannot read {}: {error}: only the user who runs the server may",
            path.display()
        ))),
    }
}

impl AdminClient {
    /// Asks for something; `path` may carry a query.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CommandError> {
        self.json(self.call(Method::GET, path, None).await?).await
    }

    /// Wants something done, in the name of whoever runs this.
    pub(super) async fn post(&self, path: &str, mut body: Value) -> Result<Value, CommandError> {
        body["actor"] = actor().into();
        self.json(self.call(Method::POST, path, Some(&body)).await?)
            .await
    }

    /// The answer as it comes, however long it takes.
    pub(super) async fn stream(&self, path: &str) -> Result<Response, CommandError> {
        let url = format!("{}{path}", self.base);
        let request = self.http.get(url).timeout(STREAM_LIMIT);
        self.send(request).await
    }

    /// The answer as it comes, for logs.
    pub(super) async fn raw(&self, path: &str) -> Result<Response, CommandError> {
        self.call(Method::GET, path, None).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, CommandError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.header("X-Trainhook", "1").json(body);
        }
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CommandError> {
        let response = request
            .bearer_auth(self.token.expose())
            .send()
            .await
            .map_err(|error| match error.is_connect() {
                true => CommandError::NotRunning(self.base.clone()),
                false => CommandError::Unanswered(error.without_url().to_string()),
            })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let answer = self.json(response).await.unwrap_or_default();
        let message = answer["error"]["message"].as_str().map(str::to_owned);
        Err(CommandError::Refused(
            message.unwrap_or_else(|| format!("the server answered {status}")),
        ))
    }

    async fn json(&self, mut response: Response) -> Result<Value, CommandError> {
        let broken =
            |error: String| CommandError::Refused(format!("the answer cannot be read: {error}"));
        let mut whole = Vec::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| broken(error.to_string()))?
        {
            whole.extend_from_slice(&piece);
            if whole.len() > ANSWER_LIMIT {
                return Err(broken("it is too long".to_owned()));
            }
        }
        serde_json::from_slice(&whole).map_err(|error| broken(error.to_string()))
    }
}

/// Who runs this command.
fn actor() -> String {
    let user = std::env::var("USER").ok().filter(|user| !user.is_empty());
    user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// Runs a command against a server to its end.
pub(super) fn run<F>(work: F) -> std::process::ExitCode
where
    F: Future<Output = Result<(), CommandError>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(CommandError::Refused(format!("cannot start: {error}"))),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trainhook: {error}");
            error.exit_code().into()
        }
    }
}
