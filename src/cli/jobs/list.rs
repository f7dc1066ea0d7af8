//! `trainhook jobs list`.

use jiff::Timestamp;
use serde_json::Value;

use super::{AdminClient, CommandError};
use crate::cli::terminal::{age, colours, number, paint_state, plain, say};

// The same words choose jobs behind `jobs` and behind `jobs list`: one group of a name is all that clap takes.
#[derive(Debug, Default, PartialEq, Eq, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Only jobs in this state, such as running or failed.
    #[arg(long)]
    state: Option<String>,
    /// Only jobs that have not ended.
    #[arg(long)]
    live: bool,
    /// Only jobs of this model (its name in models.toml).
    #[arg(long)]
    model: Option<String>,
    /// Only jobs of this model run.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// At most this many.
    #[arg(long)]
    limit: Option<u32>,
    /// Prints the list as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) async fn run(self, client: &AdminClient) -> Result<(), CommandError> {
        let answer = client.get(&self.path()).await?;
        if self.json {
            say(&answer.to_string());
            return Ok(());
        }
        let jobs: Vec<&Value> = answer["jobs"].as_array().into_iter().flatten().collect();
        if jobs.is_empty() {
            say("no jobs");
            return Ok(());
        }
        let (now, colours) = (Timestamp::now(), colours());
        say(&format!(
            "{:<8}  {:<10}  {:<16}  {:<36}  {:>5}  WHAT",
            "JOB", "STATE", "MODEL", "MODEL RUN", "AGE"
        ));
        for job in jobs {
            say(&line(job, now, colours));
        }
        Ok(())
    }

    fn path(&self) -> String {
        let mut url = reqwest::Url::parse("http://localhost/").expect("a good address");
        let limit = self.limit.map(|limit| limit.to_string());
        let given = [
            ("state", self.state.as_deref()),
            ("live", self.live.then_some("true")),
            ("model", self.model.as_deref()),
            ("run", self.run.as_deref()),
            ("limit", limit.as_deref()),
        ];
        for (key, value) in given {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, value);
            }
        }
        format!("/api/jobs?{}", url.query().unwrap_or_default())
    }
}

fn line(job: &Value, now: Timestamp, colours: bool) -> String {
    let text = |key: &str| job[key].as_str().unwrap_or_default();
    // Ids of one hour begin alike; their ends differ.
    let id = text("id");
    let short = id.get(id.len().saturating_sub(8)..).unwrap_or(id);
    format!(
        "{short:<8}  {}  {:<16}  {:<36}  {:>5}  {}",
        paint_state(text("state"), 10, colours),
        text("model"),
        text("modelRunId"),
        age(text("acceptedAt"), now),
        what(job)
    )
    .trim_end()
    .to_owned()
}

/// The most telling fact: why it failed, why it waits, or how far it is.
fn what(job: &Value) -> String {
    let words = ["message", "waiting"]
        .iter()
        .find_map(|key| job[*key].as_str());
    if let Some(words) = words {
        return plain(words);
    }
    let percent = job["progress"]["percent"]
        .as_f64()
        .filter(|_| job["endedAt"].is_null())
        .map(|percent| format!("{percent:.0}%"));
    let metrics = job["progress"]["metrics"].as_object().into_iter().flatten();
    let metrics = metrics.map(|(name, value)| format!("{}={}", plain(name), number(value)));
    percent
        .into_iter()
        .chain(metrics)
        .take(5)
        .collect::<Vec<_>>()
        .join(" ")
}
