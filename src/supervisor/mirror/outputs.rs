//! `out/`, sent file by file once the command has ended.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    time::Duration,
};

use tokio::task::spawn_blocking;

use super::{
    patience::Patience,
    remote::{Fault, Remote},
};
use crate::{
    job_dir::{AttemptDir, FileRecord, files, hash_file},
    mirror::stays_inside,
};

/// Bytes sent at once.
const PIECE: usize = 1 << 20;

/// A file whose sum is wrong at the other end is sent again, so often.
const REPEATS: u32 = 5;

/// Between two sendings of such a file.
const REPEAT_PAUSE: Duration = Duration::from_secs(1);

/// Whether everything was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It was.
    All,
    /// Somebody wished the command to stop, so nobody waits for the rest.
    NotWanted,
}

/// Sends everything that the command left in `out/`.
pub(super) async fn send(
    remote: &Remote,
    dir: &AttemptDir,
    patience: &mut Patience,
) -> Result<Sent, Fault> {
    let folder = dir.clone();
    let listed = spawn_blocking(move || list(&folder)).await;
    let listed = listed.unwrap_or_else(|error| Err(io::Error::other(error)));
    let paths = listed.map_err(|error| Fault::Refused(format!("out/ cannot be read: {error}")))?;
    for path in paths {
        let Some((file, record)) = describe(dir, path).await? else {
            continue;
        };
        if send_file(remote, dir, (file, record), patience).await? == Sent::NotWanted {
            return Ok(Sent::NotWanted);
        }
    }
    Ok(Sent::All)
}

async fn send_file(
    remote: &Remote,
    dir: &AttemptDir,
    (file, record): (File, FileRecord),
    patience: &mut Patience,
) -> Result<Sent, Fault> {
    let (mut offset, mut repeats) = (0, 0);
    loop {
        if matches!(dir.read_cancel(), Ok(Some(_))) {
            return Ok(Sent::NotWanted);
        }
        let piece = read_piece(&file, offset, record.size)
            .map_err(|error| Fault::Refused(format!("{} cannot be read: {error}", record.path)))?;
        let end = offset + piece.len() as u64;
        match remote.put_output(&record, offset, piece).await {
            Ok(standing) if standing.have >= record.size => return Ok(Sent::All),
            Ok(standing) => {
                patience.restore();
                if standing.have == 0 && end == record.size {
                    repeats += 1;
                    tokio::time::sleep(REPEAT_PAUSE).await;
                }
                if repeats > REPEATS {
                    let text = format!("{} changes while it is sent", record.path);
                    return Err(Fault::Refused(text));
                }
                offset = standing.have;
            }
            Err(fault) => patience.bear("send what the command left", fault).await?,
        }
    }
}

fn read_piece(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(PIECE);
    let mut piece = vec![0; left.min(PIECE)];
    file.read_exact_at(&mut piece, offset)?;
    Ok(piece)
}

async fn describe(dir: &AttemptDir, path: String) -> Result<Option<(File, FileRecord)>, Fault> {
    let folder = dir.clone();
    let described = spawn_blocking(move || {
        let Some(file) = files::open_untrusted(folder.path(), &format!("out/{path}"))? else {
            return Ok(None);
        };
        let (size, sha256) = hash_file(&file)?;
        let record = FileRecord {
            path,
            size,
            sha256,
            executable: false,
        };
        Ok(Some((file, record)))
    });
    let described = described.await;
    let described: io::Result<_> = described.unwrap_or_else(|error| Err(io::Error::other(error)));
    described.map_err(|error| Fault::Refused(format!("an output cannot be read: {error}")))
}

/// The regular files of `out/`, in order; links and the like stay where they are.
fn list(dir: &AttemptDir) -> io::Result<Vec<String>> {
    let (mut paths, mut left) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(dir.out().join(&folder))? {
            let entry = entry?;
            let (path, kind) = (folder.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                left.push(path);
                continue;
            }
            match path
                .to_str()
                .filter(|path| kind.is_file() && stays_inside(path))
            {
                Some(path) => paths.push(path.to_owned()),
                None => eprintln!(
                    "not sent, since it is no file with a sensible name: out/{}",
                    path.display()
                ),
            }
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
