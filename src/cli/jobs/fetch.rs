//! `trainhook jobs fetch`.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use reqwest::Response;
use tokio::sync::mpsc;

use super::{AdminClient, CommandError, find};
use crate::{cli::terminal::say, config::format_size};

/// Pieces that wait to be written.
const PIECES: usize = 4;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job.
    id: String,
    /// The folder to put the files into; one named like the job if none is given.
    dir: Option<PathBuf>,
    /// Another attempt than the last one.
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Replaces files that are there already.
    #[arg(long)]
    force: bool,
}

impl Args {
    pub(super) async fn run(self, client: &AdminClient) -> Result<(), CommandError> {
        let id = find(client, &self.id).await?;
        let dir = self.dir.unwrap_or_else(|| PathBuf::from(&id));
        let attempt = self
            .attempt
            .map_or_else(String::new, |attempt| format!("?attempt={attempt}"));
        let answer = client
            .stream(&format!("/api/jobs/{id}/model{attempt}"))
            .await?;
        let skipped = header(&answer, "x-model-skipped");
        let unpacked = unpack(answer, dir.clone(), self.force).await;
        let (files, bytes) = unpacked
            .map_err(|error| CommandError::Refused(format!("{}: {error}", dir.display())))?;
        let (size, place) = (format_size(bytes), dir.display());
        say(&match files {
            1 => format!("1 file, {size}, is in {place}"),
            _ => format!("{files} files, {size}, are in {place}"),
        });
        if skipped > 0 {
            say(&format!("{skipped} links or special files were left out"));
        }
        Ok(())
    }
}

fn header(answer: &Response, name: &str) -> u64 {
    let value = answer.headers().get(name);
    value
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

/// Unpacks the archive while it comes; answers how many files and bytes it held.
async fn unpack(mut answer: Response, dir: PathBuf, force: bool) -> io::Result<(usize, u64)> {
    let expected = usize::try_from(header(&answer, "x-model-files")).unwrap_or(usize::MAX);
    let (pieces, taken) = mpsc::channel(PIECES);
    let writing = tokio::task::spawn_blocking(move || {
        let mut staging = Staging::create(&dir)?;
        let archive = PieceReader {
            taken,
            piece: Bytes::new(),
        };
        staging.unpack(archive)?;
        if staging.files.len() != expected {
            return Err(io::Error::other("the archive is not whole"));
        }
        staging.put_in_place(force)
    });
    loop {
        let piece = answer.chunk().await.map_err(io::Error::other).transpose();
        let Some(piece) = piece else { break };
        // Whoever writes may have given up; the reason is its own.
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    drop(pieces);
    writing.await.map_err(io::Error::other)?
}

/// Files on their way: nobody sees a part of them.
struct Staging {
    dir: PathBuf,
    folder: PathBuf,
    files: Vec<PathBuf>,
    bytes: u64,
}

impl Staging {
    fn create(dir: &Path) -> io::Result<Self> {
        let folder = dir.join(format!(".fetching-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self {
            dir: dir.to_owned(),
            folder,
            files: Vec::new(),
            bytes: 0,
        })
    }

    fn unpack(&mut self, archive: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let is_plain = path
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !is_plain || !entry.header().entry_type().is_file() {
                return Err(io::Error::other(format!(
                    "{} is no plain file",
                    path.display()
                )));
            }
            let place = self.folder.join(&path);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create_new(&place)?;
            self.bytes += io::copy(&mut entry, &mut file)?;
            self.files.push(path);
        }
        Ok(())
    }

    /// Nothing is put anywhere if something is there already, unless it may be replaced.
    fn put_in_place(self, force: bool) -> io::Result<(usize, u64)> {
        let mut there = self.files.iter().map(|path| self.dir.join(path));
        let there = there.find(|path| path.symlink_metadata().is_ok());
        if let Some(path) = there.filter(|_| !force) {
            let text = format!("{} is there already: --force replaces it", path.display());
            return Err(io::Error::other(text));
        }
        for path in &self.files {
            let place = self.dir.join(path);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(self.folder.join(path), place)?;
        }
        Ok((self.files.len(), self.bytes))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays behind is an empty folder, or what did not come whole.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reads what comes, piece by piece.
struct PieceReader {
    taken: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.taken.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.piece.len());
        let taken = self.piece.split_to(length);
        into[..length].copy_from_slice(&taken);
        Ok(length)
    }
}
