//! `trainhook jobs wait`.

use std::time::Duration;

use serde_json::Value;

use super::{
    AdminClient, CommandError, ServerArgs,
    patience::{LOOK_INTERVAL, Patience},
};
use crate::cli::terminal::{duration, say};

/// Waits until a job has ended, also while the server is restarted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 it succeeded, 1 it failed or was cancelled, 3 it had not ended in time."
)]
pub(super) struct Args {
    /// The job.
    id: String,
    /// Waits no longer than this: 90s, 30m, 2h.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Prints the job as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(
        self,
        server: &ServerArgs,
        client: AdminClient,
    ) -> Result<(), CommandError> {
        let ended = ended(&self.id, Patience::new(server, client));
        let answer = match self.timeout {
            None => ended.await?,
            Some(timeout) => tokio::time::timeout(timeout, ended).await.map_err(|_| {
                let text = format!("job {} has not ended in time; it goes on", self.id);
                CommandError::OutOfTime(text)
            })??,
        };
        let job = &answer["job"];
        let text = |key: &str| job[key].as_str().unwrap_or_default();
        let told = format!("job {} is {}", text("id"), text("state"));
        match text("state") {
            _ if self.json => say(&answer.to_string()),
            "succeeded" => say(&told),
            _ => {}
        }
        match (text("state"), text("message")) {
            ("succeeded", _) => Ok(()),
            (_, "") => Err(CommandError::Refused(told)),
            (_, message) => Err(CommandError::Refused(format!("{told}: {message}"))),
        }
    }
}

async fn ended(id: &str, mut patience: Patience<'_>) -> Result<Value, CommandError> {
    let id = patience.find(id).await?;
    loop {
        let answer = patience.client.get(&format!("/api/jobs/{id}")).await;
        let answer = patience.bear(answer).await?;
        if let Some(answer) = answer.filter(|answer| answer["job"]["endedAt"].is_string()) {
            return Ok(answer);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
