//! `trainhook send`: Labelbox's calls, made by hand, against any server.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;
use serde_json::Value;

use super::webhook_secret::{PlaceError, SecretPlace};
use crate::emulator::{Answer, CallError, ModelRunRequest, Webhook};

/// The arguments of `trainhook send`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    call: Call,
}

#[derive(Debug, Subcommand)]
enum Call {
    /// Asks which models there are, as Labelbox does when its page is opened
    Models {
        #[command(flatten)]
        target: Target,
    },
    /// Asks for the training of a run, as Labelbox does after a click on Train model
    ModelRun {
        #[command(flatten)]
        target: Target,
        /// One of the names that `send models` shows
        #[arg(long, value_name = "NAME")]
        model_type: String,
        /// The model run to train
        #[arg(long, value_name = "ID")]
        model_run: String,
        /// The model that the run belongs to; Labelbox always names it
        #[arg(long, value_name = "ID")]
        model_id: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct Target {
    /// The server's base, as it is registered in Labelbox
    #[arg(long)]
    url: String,
    #[command(flatten)]
    secret: SecretPlace,
    /// Print one line of JSON: status, body
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Secret(#[from] PlaceError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("cannot print the answer: {0}")]
    Output(#[from] io::Error),
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let sent = match runtime {
            Ok(runtime) => runtime.block_on(self.call.send()),
            Err(error) => Err(error.into()),
        };
        match sent {
            Ok(answer) if answer.is_success() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("trainhook send: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Call {
    async fn send(self) -> Result<Answer, SendError> {
        let (json, answer) = match self {
            Self::Models { target } => (target.json, target.webhook()?.models().await?),
            Self::ModelRun {
                target,
                model_type,
                model_run: model_run_id,
                model_id,
            } => {
                let request = ModelRunRequest {
                    model_id,
                    model_run_id,
                    model_type,
                };
                (target.json, target.webhook()?.model_run(&request).await?)
            }
        };
        print(&answer, json)?;
        Ok(answer)
    }
}

impl Target {
    fn webhook(&self) -> Result<Webhook, SendError> {
        Ok(Webhook::new(&self.url, self.secret.read()?)?)
    }
}

fn print(answer: &Answer, json: bool) -> io::Result<()> {
    let body = answer.json();
    if json {
        let body = body.unwrap_or_else(|| Value::String(answer.body.clone()));
        let line = serde_json::json!({ "status": answer.status, "body": body });
        return writeln!(io::stdout(), "{line}");
    }
    let body = match body {
        Some(json) => format!("{json:#}"),
        None => printable(&answer.body),
    };
    writeln!(io::stdout(), "{}\n{body}", answer.status)
}

/// The text without control characters: a foreign server must not steer the terminal.
fn printable(text: &str) -> String {
    let is_safe = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars().filter(is_safe).collect()
}
