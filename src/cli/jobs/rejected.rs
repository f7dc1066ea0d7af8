//! `trainhook jobs rejected`.

use jiff::Timestamp;
use serde_json::Value;

use super::{AdminClient, CommandError};
use crate::cli::terminal::{age, plain, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints the list as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self, client: &AdminClient) -> Result<(), CommandError> {
        let answer = client.get("/api/refused").await?;
        if self.json {
            say(&answer.to_string());
            return Ok(());
        }
        let refused: Vec<&Value> = answer["refused"].as_array().into_iter().flatten().collect();
        if refused.is_empty() {
            say("no request was refused since the server started");
        }
        let now = Timestamp::now();
        for request in refused {
            say(&describe(request, now));
        }
        Ok(())
    }
}

/// One line with what came, one with the reason, and one with what may help.
fn describe(request: &Value, now: Timestamp) -> String {
    let text = |key: &str| plain(request[key].as_str().unwrap_or_default());
    let workspace = request["workspace"]
        .as_str()
        .map(|name| format!("  workspace {}", plain(name)));
    let mut lines = format!(
        "{} ago  {} {}  from {}{}\n  {}: {}",
        age(&text("at"), now),
        text("method"),
        text("path"),
        text("sender"),
        workspace.unwrap_or_default(),
        request["status"],
        text("message"),
    );
    if request["diagnosis"].is_string() {
        lines += &format!("\n  {}", text("diagnosis"));
    }
    lines
}
