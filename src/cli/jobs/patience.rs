//! Commands that follow a job bear with a server that is away for a while.

use std::time::Duration;

use tokio::time::Instant;

use super::{AdminClient, CommandError, ServerArgs};

/// A server that is away longer than this is not waited for.
const AWAY_LIMIT: Duration = Duration::from_secs(600);

/// How often a job is looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The server, also when it has been started anew.
pub(super) struct Patience<'a> {
    pub(super) client: AdminClient,
    server: &'a ServerArgs,
    away: Option<Instant>,
}

impl<'a> Patience<'a> {
    pub(super) const fn new(server: &'a ServerArgs, client: AdminClient) -> Self {
        Self {
            client,
            server,
            away: None,
        }
    }

    /// What it answered, once it does; none while it is away, and then some time has passed.
    pub(super) async fn bear<T>(
        &mut self,
        answer: Result<T, CommandError>,
    ) -> Result<Option<T>, CommandError> {
        match answer {
            Ok(answer) => {
                self.away = None;
                return Ok(Some(answer));
            }
            Err(error) if !error.is_away() => return Err(error),
            Err(error) => {
                let since = self.away.get_or_insert_with(|| {
                    eprintln!(
                        "… the server is away; jobs go on, and so does this when it is back …"
                    );
                    Instant::now()
                });
                if since.elapsed() > AWAY_LIMIT {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
        // One that was started anew may listen elsewhere.
        self.client = self.server.connect()?;
        Ok(None)
    }

    /// The id of the one job that `text` means.
    pub(super) async fn find(&mut self, text: &str) -> Result<String, CommandError> {
        loop {
            let found = super::find(&self.client, text).await;
            if let Some(id) = self.bear(found).await? {
                return Ok(id);
            }
        }
    }
}
