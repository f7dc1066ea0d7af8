//! `trainhook start`: a job without the button.

use std::process::ExitCode;

use serde_json::json;

use super::{
    admin_client::{self, ServerArgs},
    jobs::say_started,
};

/// Starts a job for a model run, as a click on Train model would.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  trainhook start digits --model-run 9ddd190d-5d63-0fc4-0758-b87923c0b6ea"
)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// The model's name in models.toml, or its title.
    model: String,
    /// Labelbox's id of the model run.
    #[arg(long, value_name = "ID")]
    model_run: String,
    /// Labelbox's id of the model that the run belongs to.
    #[arg(long, value_name = "ID")]
    model_id: Option<String>,
    /// The workspace, where there are several.
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Prints the answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        admin_client::run(async {
            let mut body = json!({ "model": self.model, "modelRunId": self.model_run });
            if let Some(id) = self.model_id {
                body["modelId"] = id.into();
            }
            if let Some(name) = self.workspace {
                body["workspace"] = name.into();
            }
            let answer = self.server.connect()?.post("/api/start", body).await?;
            say_started(&answer, self.json);
            Ok(())
        })
    }
}
