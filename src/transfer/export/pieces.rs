//! The result of a task, fetched by offset: each piece by an address that holds for a while, one after the other.

use tokio::sync::mpsc;

use super::{Export, failure::Failure, sorter::Message};
use crate::{
    config::format_size,
    downloads::{Author, Download, DownloadError, Downloads, Source},
    labelbox::ExportFile,
};

/// Where people read how far the rows are.
const PART: &str = "rows";

/// Where the fetched bytes go, and up to where they have come.
struct Flow<'a> {
    at: u64,
    all: u64,
    sender: &'a mpsc::Sender<Message>,
    /// Failures since the last byte came.
    failures: u32,
}

impl Export<'_> {
    /// Sends the bytes of the result from `from` to `all`, its whole length, to the sorter.
    pub(super) async fn fetch(
        &self,
        task: &str,
        from: u64,
        all: u64,
        sender: &mpsc::Sender<Message>,
    ) -> Result<(), Failure> {
        let mut flow = Flow {
            at: from,
            all,
            sender,
            failures: 0,
        };
        while flow.at < all {
            let files = self.transfer.files();
            let files = files.map_err(|error| Failure::later(error.to_string()))?;
            let at = flow.at;
            let asked = self.ask("a piece of the export", move |labelbox| async move {
                labelbox.export_file(task, at).await
            });
            let piece = asked.await.map_err(Failure::of_task)?;
            if piece.end > all {
                let text = format!(
                    "Labelbox announced {all} bytes of export and has more: {} at least",
                    piece.end
                );
                return Err(Failure::export(text));
            }
            self.piece(files.downloads(), &piece, &mut flow).await?;
        }
        self.note(PART, None);
        Ok(())
    }

    /// Fetches a piece to its end, or until its address holds no longer.
    async fn piece(
        &self,
        downloads: &Downloads,
        piece: &ExportFile,
        flow: &mut Flow<'_>,
    ) -> Result<(), Failure> {
        while flow.at < piece.end {
            let source = Source {
                url: &piece.url,
                author: Author::Labelbox,
                bearer: None,
                from: flow.at - piece.start,
                most: piece.end - piece.start,
            };
            let error = match downloads.open(source).await {
                Ok(download) => match self.pour(download, piece, flow).await? {
                    None => break,
                    Some(error) => error,
                },
                Err(error) => error,
            };
            flow.failures += 1;
            let least = match &error {
                DownloadError::Transient(trouble) => trouble.retry_after,
                DownloadError::Refused(_) => None,
            };
            let text = error.to_string();
            self.rest("a piece of the export", &text, flow.failures, least)
                .await;
            if matches!(error, DownloadError::Refused(_)) {
                return Ok(());
            }
        }
        flow.send(Message::PieceEnd).await
    }

    /// Sends on what comes; answers what broke it off, if something did.
    async fn pour(
        &self,
        mut download: Download,
        piece: &ExportFile,
        flow: &mut Flow<'_>,
    ) -> Result<Option<DownloadError>, Failure> {
        loop {
            let position = piece.start + download.position();
            let bytes = match download.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) if flow.at == piece.end => return Ok(None),
                Ok(None) => {
                    let text = format!(
                        "the piece ended {} bytes before its announced end",
                        piece.end - flow.at
                    );
                    return Ok(Some(DownloadError::transient(text)));
                }
                Err(error) => return Ok(Some(error)),
            };
            // Whoever does not know ranges begins at the beginning.
            let known = flow.at.checked_sub(position);
            let Some(known) = known.and_then(|known| usize::try_from(known).ok()) else {
                let text = "the server answered with other bytes than were asked for".to_owned();
                return Ok(Some(DownloadError::transient(text)));
            };
            if known < bytes.len() {
                self.pass_on(bytes.slice(known..), flow).await?;
            }
        }
    }

    async fn pass_on(&self, bytes: bytes::Bytes, flow: &mut Flow<'_>) -> Result<(), Failure> {
        if let Some(shortage) = self.transfer.context.room.get().shortage() {
            return Err(Failure::later(shortage));
        }
        flow.at += bytes.len() as u64;
        flow.failures = 0;
        flow.send(Message::Bytes(bytes)).await?;
        let percent = flow.at.saturating_mul(100) / flow.all.max(1);
        let of = format_size(flow.all);
        self.note("trouble", None);
        self.note(PART, format!("{percent}% of {of} fetched"));
        Ok(())
    }
}

impl Flow<'_> {
    /// Waits while the sorter is behind.
    async fn send(&self, message: Message) -> Result<(), Failure> {
        let sent = self.sender.send(message).await;
        // The sorter has ended, and says itself why.
        sent.map_err(|_| Failure::later("the files cannot be written".to_owned()))
    }
}
