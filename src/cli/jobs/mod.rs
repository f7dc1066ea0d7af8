//! `trainhook jobs`: what runs, what ran, and why.

mod fetch;
mod list;
mod logs;
mod patience;
mod prune;
mod rejected;
mod show;
mod wait;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    admin_client::{self, AdminClient, CommandError, ServerArgs},
    terminal::say,
};

/// Lists, shows, follows, cancels and retries jobs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "ID is a job's id, its beginning or its end (4 characters or more), or a model run's id.\n\n\
    Examples:\n  trainhook jobs list --live\n  trainhook jobs show 8d2cd0\n  trainhook jobs logs -f 8d2cd0"
)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Without a command it lists jobs.
    #[command(flatten)]
    list: list::Args,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists jobs, the newest first
    List(list::Args),
    /// Tells one job's whole story
    Show(show::Args),
    /// Prints what a job's command has written
    Logs(logs::Args),
    /// Waits until a job has ended; its exit code tells how
    Wait(wait::Args),
    /// Stops a job; Labelbox is told FAILED
    Cancel(Wish),
    /// Starts a job that has ended once more, as a new job
    Retry(Wish),
    /// Has what an ended training predicted, and Labelbox has not taken, imported by a new job; nothing is trained
    RetryUpload(Wish),
    /// Brings a job's out/model/ home
    Fetch(fetch::Args),
    /// Removes what [retention] does not want kept, now
    Prune(prune::Args),
    /// Lists the last requests that were refused, and why
    Rejected(rejected::Args),
}

#[derive(Debug, clap::Args)]
struct Wish {
    /// The job.
    id: String,
    /// Prints the answer as JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        admin_client::run(async {
            let client = self.server.connect()?;
            if self.action.is_some() && self.list != list::Args::default() {
                let text = "what chooses jobs stands behind `list`, or without any command";
                return Err(CommandError::Settings(text.to_owned()));
            }
            let Some(action) = self.action else {
                return self.list.run(&client).await;
            };
            match action {
                Action::List(args) => args.run(&client).await,
                Action::Show(args) => args.run(&client).await,
                Action::Logs(args) => args.run(&self.server, client).await,
                Action::Wait(args) => args.run(&self.server, client).await,
                Action::Cancel(wish) => wish.cancel(&client).await,
                Action::Retry(wish) => wish.start(&client, "retry").await,
                Action::RetryUpload(wish) => wish.start(&client, "retry-upload").await,
                Action::Fetch(args) => args.run(&client).await,
                Action::Prune(args) => args.run(&client).await,
                Action::Rejected(args) => args.run(&client).await,
            }
        })
    }
}

impl Wish {
    async fn cancel(self, client: &AdminClient) -> Result<(), CommandError> {
        let id = find(client, &self.id).await?;
        let answer = client
            .post(&format!("/api/jobs/{id}/cancel"), json!({}))
            .await?;
        match answer["job"]["state"].as_str() {
            _ if self.json => say(&answer.to_string()),
            Some("cancelled") => say(&format!("job {id} is cancelled")),
            _ => say(&format!("job {id} is being stopped")),
        }
        Ok(())
    }

    async fn start(self, client: &AdminClient, how: &str) -> Result<(), CommandError> {
        let id = find(client, &self.id).await?;
        let answer = client
            .post(&format!("/api/jobs/{id}/{how}"), json!({}))
            .await?;
        say_started(&answer, self.json);
        Ok(())
    }
}

/// Tells which job a request began or found.
pub(super) fn say_started(answer: &Value, as_json: bool) {
    let id = answer["job"]["id"].as_str().unwrap_or_default();
    match answer["duplicate"].as_bool() {
        _ if as_json => say(&answer.to_string()),
        Some(true) => say(&format!("the run has a live job already: {id}")),
        _ => say(&format!("job {id} is accepted")),
    }
}

/// The id of the one job that `text` means.
async fn find(client: &AdminClient, text: &str) -> Result<String, CommandError> {
    if text.parse::<crate::job::JobId>().is_ok() && find_run(client, text).await?.is_none() {
        return Ok(text.to_owned());
    }
    if let Some(id) = find_run(client, text).await? {
        return Ok(id);
    }
    if text.len() < 4 {
        return Err(CommandError::Settings(
            "give at least 4 characters of the job's id".to_owned(),
        ));
    }
    let answer = client.get("/api/jobs?limit=1000").await?;
    let ids = answer["jobs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|job| job["id"].as_str());
    let found: Vec<&str> = ids
        .filter(|id| id.starts_with(text) || id.ends_with(text))
        .collect();
    match found.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(CommandError::Refused(format!(
            "there is no job {text:?} among the last 1000"
        ))),
        several => Err(CommandError::Refused(format!(
            "{text:?} fits {} jobs: give more of the id",
            several.len()
        ))),
    }
}

/// The newest job of a model run.
async fn find_run(client: &AdminClient, run: &str) -> Result<Option<String>, CommandError> {
    let mut url = reqwest::Url::parse("http://localhost/api/jobs?limit=1").expect("a good address");
    url.query_pairs_mut().append_pair("run", run);
    let answer = client
        .get(&format!("/api/jobs?{}", url.query().unwrap_or_default()))
        .await?;
    Ok(answer["jobs"][0]["id"].as_str().map(str::to_owned))
}
