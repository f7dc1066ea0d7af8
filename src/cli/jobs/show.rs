//! `trainhook jobs show`.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{AdminClient, CommandError, find};
use crate::cli::terminal::{age, colours, number, paint_state, plain, say};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job.
    id: String,
    /// Prints everything as JSON.
    #[arg(long)]
    json: bool,
}

/// What is shown of a job, in this order.
const FACTS: [(&str, &str); 17] = [
    ("model", "model"),
    ("modelType", "title"),
    ("workspace", "workspace"),
    ("modelRunId", "model run"),
    ("modelId", "of model"),
    ("actor", "wanted by"),
    ("parent", "retries"),
    ("executor", "executor"),
    ("attempt", "attempt"),
    ("launchId", "launch"),
    ("cause", "cause"),
    ("message", "message"),
    ("lateRecord", "came later"),
    ("waiting", "waiting"),
    ("leftover", "left behind"),
    ("labelboxStatus", "in Labelbox"),
    ("jobDir", "files"),
];

/// A longer name of a metric breaks its column.
const LONG_NAME: usize = 40;

impl Args {
    pub(super) async fn run(self, client: &AdminClient) -> Result<(), CommandError> {
        let id = find(client, &self.id).await?;
        let answer = client.get(&format!("/api/jobs/{id}")).await?;
        if self.json {
            say(&answer.to_string());
            return Ok(());
        }
        let (job, now) = (&answer["job"], Timestamp::now());
        let state = paint_state(job["state"].as_str().unwrap_or_default(), 0, colours());
        say(&format!("job {id}: {state}"));
        for (key, name) in FACTS {
            if let Some(value) = fact(&job[key]) {
                say(&format!("  {name:<12} {value}"));
            }
        }
        show_progress(job);
        show_imports(&answer);
        show_timeline(&answer, now);
        show_reports(&answer, now);
        Ok(())
    }
}

fn fact(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(plain(text)),
        other => Some(other.to_string()),
    }
}

fn show_progress(job: &Value) {
    let live = job["endedAt"].is_null();
    if let Some(percent) = job["progress"]["percent"].as_f64().filter(|_| live) {
        say(&format!("  {:<12} {percent:.0}%", "progress"));
    }
    if let Some(note) = job["progress"]["note"].as_str() {
        say(&format!("  {:<12} {}", "note", plain(note)));
    }
    let metrics = job["progress"]["metrics"].as_object();
    let names = || metrics.into_iter().flat_map(Map::keys);
    let width = names().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default().clamp(12, LONG_NAME);
    for (name, value) in metrics.into_iter().flatten() {
        say(&format!("  {:<width$} {}", plain(name), number(value)));
    }
    for (file, count) in job["progress"]["skipped"].as_object().into_iter().flatten() {
        say(&format!(
            "  {:<12} {count} of {file}: not understood",
            "skipped"
        ));
    }
}

fn show_imports(answer: &Value) {
    let imports: Vec<&Value> = answer["imports"].as_array().into_iter().flatten().collect();
    if imports.is_empty() {
        return;
    }
    say("\npredictions");
    for import in imports {
        let text = |key: &str| plain(import[key].as_str().unwrap_or_default());
        let number = |key: &str| import[key].as_u64().unwrap_or_default();
        let refused = import["refused"].as_u64().filter(|refused| *refused > 0);
        let refused = refused.map_or_else(String::new, |refused| format!("{refused} refused: "));
        let line = format!(
            "  {:>3}  {:<9} {:>8} predictions  {}  {refused}{}",
            number("chunk"),
            text("state"),
            number("predictions"),
            text("name"),
            text("firstReason")
        );
        say(line.trim_end());
    }
}

fn show_timeline(answer: &Value, now: Timestamp) {
    say("\nwhat happened");
    for entry in answer["timeline"].as_array().into_iter().flatten() {
        let text = |key: &str| plain(entry[key].as_str().unwrap_or_default());
        let line = format!(
            "  {:>4} ago  {:<11} {}",
            age(&text("at"), now),
            text("event"),
            text("detail")
        );
        say(line.trim_end());
    }
}

/// The oldest first, as Labelbox heard it.
fn show_reports(answer: &Value, now: Timestamp) {
    say("\nwhat Labelbox was told");
    let reports: Vec<&Value> = answer["reports"].as_array().into_iter().flatten().collect();
    for report in reports.iter().rev() {
        let text = |key: &str| plain(report[key].as_str().unwrap_or_default());
        let metadata = report["metadata"].as_object().into_iter().flatten();
        let told = metadata.map(|(name, value)| {
            format!(
                "{}={}",
                plain(name),
                plain(value.as_str().unwrap_or_default())
            )
        });
        let told = told.take(6).collect::<Vec<_>>().join(" ");
        let words = [text("errorMessage"), told, text("error")].join(" ");
        let state = paint_state(&text("state"), 9, colours());
        let line = format!(
            "  {:>4} ago  {:<14} {state}  {}",
            age(&text("createdAt"), now),
            text("status"),
            words.trim()
        );
        say(line.trim_end());
    }
}
