//! `trainhook jobs prune`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AdminClient, CommandError};
use crate::{
    cli::terminal::{age, plain, say},
    config::format_size,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only tells what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Prints the list as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self, client: &AdminClient) -> Result<(), CommandError> {
        let answer = client.get("/api/prunable").await?;
        if !self.dry_run {
            client.post("/api/prune", json!({})).await?;
        }
        if self.json {
            say(&answer.to_string());
            return Ok(());
        }
        let prunable: Vec<&Value> = answer["prunable"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        let now = Timestamp::now();
        for one in &prunable {
            say(&line(one, now));
        }
        let bytes = prunable
            .iter()
            .filter_map(|one| one["bytes"].as_u64())
            .sum();
        let (jobs, size) = (prunable.len(), format_size(bytes));
        say(&match (jobs, self.dry_run) {
            (0, _) => "nothing is older than [retention] wants it".to_owned(),
            (_, true) => format!("{size} of {jobs} jobs would be removed"),
            (_, false) => format!("{size} of {jobs} jobs are being removed"),
        });
        Ok(())
    }
}

fn line(prunable: &Value, now: Timestamp) -> String {
    let text = |key: &str| plain(prunable[key].as_str().unwrap_or_default());
    let parts = prunable["parts"].as_array().into_iter().flatten();
    let parts: Vec<&str> = parts.filter_map(Value::as_str).collect();
    format!(
        "{}  {:<16}  ended {:>4} ago  {:>9}  {}",
        text("job"),
        text("model"),
        age(&text("endedAt"), now),
        format_size(prunable["bytes"].as_u64().unwrap_or_default()),
        parts.join(", ")
    )
}
