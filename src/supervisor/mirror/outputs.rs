//! `out/`, sent file by file once the command has ended.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::task::spawn_blocking;

use super::{
    patience::{Patience, PieceSize},
    remote::{Fault, Remote},
};
use crate::{
    job_dir::{AttemptDir, FileRecord, files, hash_file},
    mirror::stays_inside,
    supervisor::complain,
};

/// A file whose sum is wrong at the other end is sent again, so often.
const REPEATS: u32 = 5;

/// Between two sendings of such a file.
const REPEAT_PAUSE: Duration = Duration::from_secs(1);

/// What the server, or whoever made the model, looks for in `out/`, some of it as folders: it must not stay behind unsaid.
const LOOKED_FOR: [&str; 6] = [
    "predictions.ndjson",
    "coco_results.json",
    "yolo/labels",
    "metrics.json",
    "artifacts.json",
    "model",
];

/// What lies in `out/`.
#[derive(Debug, Default)]
struct Listed {
    /// Regular files, in order.
    files: Vec<String>,
    /// Something else where a file is looked for.
    amiss: Option<PathBuf>,
}

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
    let listed = listed.map_err(|error| Fault::Refused(format!("out/ cannot be read: {error}")))?;
    for path in listed.files {
        let Some((file, record)) = describe(dir, path).await? else {
            continue;
        };
        if send_file(remote, dir, (file, record), patience).await? == Sent::NotWanted {
            return Ok(Sent::NotWanted);
        }
    }
    match listed.amiss {
        Some(path) => Err(Fault::Refused(format!(
            "out/{} is no regular file with a sensible name: write the file itself there",
            path.display()
        ))),
        None => Ok(Sent::All),
    }
}

async fn send_file(
    remote: &Remote,
    dir: &AttemptDir,
    (file, record): (File, FileRecord),
    patience: &mut Patience,
) -> Result<Sent, Fault> {
    let (mut offset, mut repeats, mut size) = (0, 0, PieceSize::most());
    loop {
        if matches!(dir.read_cancel(), Ok(Some(_))) {
            return Ok(Sent::NotWanted);
        }
        let piece = read_piece(&file, offset, (record.size, size))
            .map_err(|error| Fault::Refused(format!("{} cannot be read: {error}", record.path)))?;
        let end = offset + piece.len() as u64;
        match remote.put_output(&record, offset, piece).await {
            Ok(standing) if standing.have >= record.size => return Ok(Sent::All),
            Ok(standing) => {
                patience.restore();
                size.grow();
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
            Err(fault) => {
                size.shrink();
                patience.bear("send what the command left", fault).await?;
            }
        }
    }
}

fn read_piece(file: &File, offset: u64, (end, size): (u64, PieceSize)) -> io::Result<Vec<u8>> {
    let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut piece = vec![0; left.min(size.bytes())];
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
            link: None,
        };
        Ok(Some((file, record)))
    });
    let described = described.await;
    let described: io::Result<_> = described.unwrap_or_else(|error| Err(io::Error::other(error)));
    described.map_err(|error| Fault::Refused(format!("an output cannot be read: {error}")))
}

/// The regular files of `out/`; links and the like stay where they are.
fn list(dir: &AttemptDir) -> io::Result<Listed> {
    let (mut listed, mut left) = (Listed::default(), vec![PathBuf::new()]);
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
                Some(path) => listed.files.push(path.to_owned()),
                None => listed.leave(path),
            }
        }
    }
    listed.files.sort_unstable();
    Ok(listed)
}

impl Listed {
    fn leave(&mut self, path: PathBuf) {
        complain(format_args!(
            "not sent, since it is no file with a sensible name: out/{}",
            path.display()
        ));
        if is_looked_for(&path) {
            self.amiss.get_or_insert(path);
        }
    }
}

/// Whether something is looked for at this path, above it, or below it.
fn is_looked_for(path: &Path) -> bool {
    let mut names = LOOKED_FOR.iter().map(Path::new);
    names.any(|name| path.starts_with(name) || name.starts_with(path))
}
