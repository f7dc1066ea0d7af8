//! `trainhook jobs logs`.

use std::io::Write;

use reqwest::header::HeaderMap;

use super::{
    AdminClient, CommandError, ServerArgs, find,
    patience::{LOOK_INTERVAL, Patience},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job.
    id: String,
    /// Goes on until the job has ended, also while the server is restarted.
    #[arg(short, long)]
    follow: bool,
    /// Another attempt than the last one.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
}

/// A log that is being read: how far it has been printed.
struct Reading<'a> {
    id: &'a str,
    attempt: Option<u32>,
    from: u64,
}

impl Args {
    pub(super) async fn run(
        self,
        server: &ServerArgs,
        client: AdminClient,
    ) -> Result<(), CommandError> {
        if !self.follow {
            let id = find(&client, &self.id).await?;
            return self.reading(&id).print_all(&client).await;
        }
        let mut patience = Patience::new(server, client);
        let id = patience.find(&self.id).await?;
        let mut reading = self.reading(&id);
        loop {
            let followed = reading.follow(&patience.client).await;
            if patience.bear(followed).await? == Some(true) {
                return Ok(());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    const fn reading<'a>(&self, id: &'a str) -> Reading<'a> {
        Reading {
            id,
            attempt: self.attempt,
            from: 0,
        }
    }
}

impl Reading<'_> {
    /// Prints what is new; answers whether that was all there will ever be.
    async fn follow(&mut self, client: &AdminClient) -> Result<bool, CommandError> {
        // Asked before the log is read, so that what was written last is still printed.
        let ended = has_ended(client, self.id).await?;
        self.print_all(client).await?;
        Ok(ended)
    }

    /// Prints what there is from `from` on.
    async fn print_all(&mut self, client: &AdminClient) -> Result<(), CommandError> {
        let attempt = self.attempt;
        let attempt = attempt.map_or_else(String::new, |attempt| format!("&attempt={attempt}"));
        loop {
            let (id, from) = (self.id, self.from);
            let path = format!("/api/jobs/{id}/log?from={from}{attempt}");
            let mut answer = client.raw(&path).await?;
            let (begins, next, total) = offsets(answer.headers());
            if begins > from {
                eprintln!(
                    "… {} bytes were left out to keep the log within its limit …",
                    begins - from
                );
                self.from = begins;
            }
            let broken = |error: reqwest::Error| CommandError::Unanswered(error.to_string());
            while let Some(piece) = answer.chunk().await.map_err(broken)? {
                print(&piece);
                self.from += piece.len() as u64;
            }
            self.from = self.from.max(next);
            if next >= total || next <= from {
                return Ok(());
            }
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
