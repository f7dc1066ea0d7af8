//! `out/model/` of a job, as one archive on its way.

use std::io::{self, Read, Write};

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use warp::{
    Reply,
    http::{HeaderValue, header::CONTENT_TYPE},
    reply::Response,
};

use super::{Admin, Parameters};
use crate::{
    http::error::ApiError,
    job_dir::{AttemptDir, JobDir, ModelFile, ModelFiles},
};

/// Bytes that are read before whoever fetches them has taken the ones before.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;

impl Admin {
    pub(super) async fn send_model(
        &self,
        id: &str,
        mut parameters: Parameters,
    ) -> Result<Response, ApiError> {
        let job = self.find_job(id).await?;
        let job = self.training_of(job).await?;
        let attempt = parameters.take("attempt")?.unwrap_or(job.attempt);
        parameters.finish()?;
        if !(1..=job.attempt).contains(&attempt) {
            return Err(ApiError::NoSuch("attempt"));
        }
        let dir = JobDir::new(&self.jobs_dir, job.id).attempt(attempt);
        let listed = {
            let dir = dir.clone();
            tokio::task::spawn_blocking(move || dir.model_files()).await
        };
        let unreadable = |error: &dyn std::error::Error| {
            ApiError::Unreadable(format!("out/model cannot be read: {error}"))
        };
        let listed = listed.map_err(|error| unreadable(&error))?;
        let ModelFiles { files, skipped } = listed.map_err(|error| unreadable(&error))?;
        if files.is_empty() {
            return Err(ApiError::NoSuch("model: nothing was left in out/model/"));
        }
        let (bytes, count) = (
            files.iter().map(|file| file.bytes).sum::<u64>(),
            files.len(),
        );
        let mut response = warp::reply::stream(archive(dir, files)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        headers.insert("x-model-files", count.into());
        headers.insert("x-model-bytes", bytes.into());
        headers.insert("x-model-skipped", skipped.into());
        Ok(response)
    }
}

/// The archive, piece by piece; it breaks off with an error if a file cannot be read to its end.
fn archive(
    dir: AttemptDir,
    files: Vec<ModelFile>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    let (pieces, taken) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let writer = PieceWriter {
            pieces: pieces.clone(),
        };
        if let Err(error) = write(&dir, &files, io::BufWriter::with_capacity(PIECE, writer)) {
            // Whoever fetched it may have gone away.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    stream::unfold(taken, |mut taken| async move {
        let piece = taken.recv().await?;
        Some((piece, taken))
    })
}

fn write(dir: &AttemptDir, files: &[ModelFile], writer: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(writer);
    for listed in files {
        let Some(file) = dir.open_model_file(listed)? else {
            return Err(io::Error::other(format!("{} is gone", listed.path)));
        };
        let bytes = file.metadata()?.len();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o644);
        header.set_mtime(listed.modified);
        let whole = Exactly {
            file: file.take(bytes),
        };
        archive.append_data(&mut header, &listed.path, whole)?;
    }
    archive.into_inner()?.flush()
}

/// A file that is an error if it ends too early.
struct Exactly<R> {
    file: io::Take<R>,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.file.read(into)? {
            0 if self.file.limit() > 0 && !into.is_empty() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            read => Ok(read),
        }
    }
}

/// Hands on what is written, as fast as it is taken.
struct PieceWriter {
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.pieces.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
