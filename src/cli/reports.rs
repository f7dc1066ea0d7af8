//! `trainhook reports`: what Labelbox is owed.

use std::process::ExitCode;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    admin_client::{self, AdminClient, CommandError, ServerArgs},
    terminal::{age, colours, paint_state, plain, say},
};

/// Lists the status updates owed to Labelbox, sends one again, gives one up.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  trainhook reports\n  trainhook reports resend 42")]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists what Labelbox does not have yet, the newest first
    List {
        /// Also what it has.
        #[arg(long)]
        all: bool,
        /// Prints the list as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tries a report again now
    Resend {
        /// Its number.
        id: i64,
    },
    /// Gives a report up: Labelbox will not be told
    Drop {
        /// Its number.
        id: i64,
    },
}

impl Args {
    pub(super) fn run(self) -> ExitCode {
        admin_client::run(async {
            let client = self.server.connect()?;
            let all_owed = Action::List {
                all: false,
                json: false,
            };
            match self.action.unwrap_or(all_owed) {
                Action::List { all, json } => list(&client, all, json).await,
                Action::Resend { id } => {
                    client
                        .post(&format!("/api/reports/{id}/resend"), json!({}))
                        .await?;
                    say(&format!("report {id} is tried again"));
                    Ok(())
                }
                Action::Drop { id } => {
                    client
                        .post(&format!("/api/reports/{id}/drop"), json!({}))
                        .await?;
                    say(&format!("report {id} is given up"));
                    Ok(())
                }
            }
        })
    }
}

async fn list(client: &AdminClient, all: bool, as_json: bool) -> Result<(), CommandError> {
    let answer = client
        .get(&format!("/api/reports?owed={}&limit=200", !all))
        .await?;
    if as_json {
        say(&answer.to_string());
        return Ok(());
    }
    let reports: Vec<&Value> = answer["reports"].as_array().into_iter().flatten().collect();
    if reports.is_empty() {
        say("nothing is owed to Labelbox");
    }
    for report in reports {
        let text = |key: &str| plain(report[key].as_str().unwrap_or_default());
        let line = format!(
            "{:>6}  {}  {:<14}  {:<36}  {:>5}  {}",
            report["id"].to_string(),
            paint_state(&text("state"), 9, colours()),
            text("status"),
            text("modelRunId"),
            age(&text("createdAt"), Timestamp::now()),
            [text("error"), text("errorMessage")].join(" ").trim()
        );
        say(line.trim_end());
    }
    Ok(())
}
