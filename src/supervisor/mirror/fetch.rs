//! What the command finds: the list of its files, then each of them, from where it was cut, until its sum is right.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    task::spawn_blocking,
};

use super::{
    home::Home,
    patience::Patience,
    remote::{Fault, Remote, unreached},
};
use crate::{
    job_dir::{FileRecord, files, hash_file},
    mirror::{hex, stays_inside},
};

/// Files that are fetched at once.
const AT_ONCE: usize = 8;

/// Without a further byte for this long, fetching is given up, and another attempt may have more luck.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Fetches all that is not there yet.
pub(super) async fn fetch(remote: &Remote, home: &Home, spread: u64) -> Result<(), Fault> {
    let list = home.job.server().join("manifest.ndjson");
    let mut patience = Patience::of(PATIENCE, spread);
    while let Err(fault) = fetch_list(remote, &list).await {
        patience.bear("fetch the list of files", fault).await?;
    }
    let lines = File::open(&list).await.map_err(|error| local(&error))?;
    let records = stream::try_unfold(BufReader::new(lines).lines(), next_record);
    records
        .map_ok(|record| fetch_file(remote, home, record, patience.clone()))
        .try_buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await
}

/// The list has no sum: it is there when it was read to its end.
async fn fetch_list(remote: &Remote, list: &Path) -> Result<(), Fault> {
    let part = list.with_extension("part");
    download(remote, &["manifest"], &part).await?;
    fs::rename(&part, list).map_err(|error| local(&error))
}

async fn next_record(
    mut lines: Lines<BufReader<File>>,
) -> Result<Option<(FileRecord, Lines<BufReader<File>>)>, Fault> {
    let Some(line) = lines.next_line().await.map_err(|error| local(&error))? else {
        return Ok(None);
    };
    let record: FileRecord = serde_json::from_str(&line)
        .map_err(|error| Fault::Refused(format!("the list of files holds {line:?}: {error}")))?;
    let is_ours = record.path == "webhook.json"
        || ["data/", "code/"]
            .iter()
            .any(|folder| record.path.starts_with(folder));
    if !is_ours || !stays_inside(&record.path) {
        let text = format!("the list of files holds {:?}", record.path);
        return Err(Fault::Refused(text));
    }
    Ok(Some((record, lines)))
}

async fn fetch_file(
    remote: &Remote,
    home: &Home,
    record: FileRecord,
    mut patience: Patience,
) -> Result<(), Fault> {
    let place = home.job.path().join(&record.path);
    if is_whole(&place, &record).await {
        return Ok(());
    }
    let part = home.job.parts().join(hex(&Sha256::digest(&record.path)));
    let path: Vec<&str> = ["files"]
        .into_iter()
        .chain(record.path.split('/'))
        .collect();
    let doing = format!("fetch {}", record.path);
    loop {
        let before = length(&part);
        let fetched = match download(remote, &path, &part).await {
            Ok(()) => keep(&part, &place, home, &record).await,
            Err(fault) => Err(fault),
        };
        match fetched {
            Ok(()) => return Ok(()),
            Err(fault) => {
                if length(&part) > before {
                    patience.restore();
                }
                patience.bear(&doing, fault).await?;
            }
        }
    }
}

/// Reads on where `part` ends, to the end of the file.
async fn download(remote: &Remote, path: &[&str], part: &Path) -> Result<(), Fault> {
    let Some((from, mut response)) = remote.open(path, length(part)).await? else {
        return Ok(());
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(part)
        .await;
    let mut file = file.map_err(|error| local(&error))?;
    let begun = async {
        file.set_len(from).await?;
        io::Result::Ok(tokio::io::AsyncSeekExt::seek(&mut file, io::SeekFrom::Start(from)).await?)
    };
    begun.await.map_err(|error| local(&error))?;
    while let Some(piece) = response.chunk().await.map_err(|error| unreached(&error))? {
        file.write_all(&piece)
            .await
            .map_err(|error| local(&error))?;
    }
    file.flush().await.map_err(|error| local(&error))
}

/// Gives a whole file its place; a damaged one is fetched again from its beginning.
async fn keep(part: &Path, place: &Path, home: &Home, record: &FileRecord) -> Result<(), Fault> {
    if !is_whole(part, record).await {
        if length(part) >= record.size {
            fs::remove_file(part).map_err(|error| local(&error))?;
        }
        return Err(Fault::Later("it arrived damaged".to_owned()));
    }
    let placed = || {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        if record.path.starts_with("code/") {
            let mode = if record.executable { 0o555 } else { 0o444 };
            fs::set_permissions(part, Permissions::from_mode(mode))?;
        }
        files::move_untrusted(part, home.job.path(), &record.path)
    };
    placed().map_err(|error| local(&error))
}

async fn is_whole(path: &Path, record: &FileRecord) -> bool {
    if length(path) != record.size {
        return false;
    }
    let (path, sum): (PathBuf, _) = (path.to_owned(), record.sha256.clone());
    let matches = spawn_blocking(move || {
        let (_, found) = hash_file(&fs::File::open(path)?)?;
        io::Result::Ok(found == sum)
    });
    matches.await.is_ok_and(|matches| matches.unwrap_or(false))
}

fn length(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |metadata| metadata.len())
}

/// What this machine cannot do now, such as write to a full disk.
fn local(error: &io::Error) -> Fault {
    Fault::Later(format!("this machine: {error}"))
}
