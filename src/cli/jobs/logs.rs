//! `trainhook jobs logs`.

use std::{io::Write, time::Duration};

use reqwest::header::HeaderMap;

use super::{AdminClient, CommandError, find};

/// How often a log that is followed is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job.
    id: String,
    /// Goes on until the job has ended.
    #[arg(short, long)]
    follow: bool,
    /// Another attempt than the last one.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

impl Args {
    pub(super) async fn run(self, client: &AdminClient) -> Result<(), CommandError> {
        let id = find(client, &self.id).await?;
        let mut from = 0;
        loop {
            // Asked before the log is read, so that what was written last is still printed.
            let ended = !self.follow || has_ended(client, &id).await?;
            from = self.print_all(client, &id, from).await?;
            if ended {
                return Ok(());
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }

    /// Prints what there is from `from` on; answers where it ended.
    async fn print_all(
        &self,
        client: &AdminClient,
        id: &str,
        mut from: u64,
    ) -> Result<u64, CommandError> {
        loop {
            let attempt = self
                .attempt
                .map_or_else(String::new, |attempt| format!("&attempt={attempt}"));
            let mut answer = client
                .raw(&format!("/api/jobs/{id}/log?from={from}{attempt}"))
                .await?;
            let (begins, next, total) = offsets(answer.headers());
            if begins > from {
                eprintln!(
                    "… {} bytes were left out to keep the log within its limit …",
                    begins - from
                );
            }
            while let Some(piece) = answer
                .chunk()
                .await
                .map_err(|error| CommandError::Refused(error.to_string()))?
            {
                print(&piece);
            }
            if next >= total || next <= from {
                return Ok(next.max(from));
            }
            from = next;
        }
    }
}

async fn has_ended(client: &AdminClient, id: &str) -> Result<bool, CommandError> {
    let answer = client.get(&format!("/api/jobs/{id}")).await?;
    Ok(answer["job"]["endedAt"].is_string())
}

fn offsets(headers: &HeaderMap) -> (u64, u64, u64) {
    let offset = |name: &str| headers.get(name)?.to_str().ok()?.parse().ok();
    let read = |name: &str| offset(name).unwrap_or(0);
    (read("x-log-from"), read("x-log-next"), read("x-log-total"))
}

fn print(bytes: &[u8]) {
    let mut output = std::io::stdout().lock();
    if output
        .write_all(bytes)
        .and_then(|()| output.flush())
        .is_err()
    {
        // Whoever read it has gone away, as after `| head`.
        std::process::exit(0);
    }
}
