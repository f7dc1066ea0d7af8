//! Which files the split files name, and what the journal knows of each.

use std::{fs, path::Path};

use tokio::sync::mpsc;

use super::{
    FilesError,
    earlier::Earlier,
    journal::{Entries, Journal, Outcome},
    line::Wanted,
    rewrite::for_each_line,
};
use crate::dataset::Split;

/// A file, in the order of the rows.
#[derive(Debug)]
pub(super) enum Scanned {
    /// What became of it stands in the journal, and still holds.
    Noted(Wanted, Outcome),
    /// An earlier export has brought it, so many bytes.
    Here(Wanted, u64),
    /// It is still to be fetched.
    Open(Wanted),
}

/// Sends every file that is named, and ends when nobody takes them any more. From the first one on of which nothing is
/// noted, or something that does not hold, the journal is cut off.
pub(super) fn scan(
    data_dir: &Path,
    journal: &Journal,
    earlier: &Earlier,
    sender: &mpsc::Sender<Scanned>,
) -> Result<(), FilesError> {
    let mut noted = Some(journal.read()?);
    for split in Split::ALL {
        for_each_line(data_dir, split, |_, line| {
            for wanted in line.wanted() {
                let scanned = match next(&mut noted, data_dir, wanted)? {
                    Some(outcome) => Scanned::Noted(wanted.clone(), outcome),
                    None => match earlier.find(wanted, data_dir) {
                        Some(bytes) => Scanned::Here(wanted.clone(), bytes),
                        None => Scanned::Open(wanted.clone()),
                    },
                };
                let stopped = |_| FilesError::later("the fetch was stopped".to_owned());
                sender.blocking_send(scanned).map_err(stopped)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn next(
    noted: &mut Option<Entries>,
    data_dir: &Path,
    wanted: &Wanted,
) -> Result<Option<Outcome>, FilesError> {
    let Some(entries) = noted else {
        return Ok(None);
    };
    let at = entries.position();
    match entries.next() {
        Some(outcome) if holds(&outcome, data_dir, wanted) => Ok(Some(outcome)),
        _ => {
            if let Some(entries) = noted.take() {
                entries.cut(at)?;
            }
            Ok(None)
        }
    }
}

/// Whether the file is as it was noted.
fn holds(outcome: &Outcome, data_dir: &Path, wanted: &Wanted) -> bool {
    match outcome {
        Outcome::Missing(_) => true,
        Outcome::Bytes(bytes) => fs::symlink_metadata(data_dir.join(&wanted.path))
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == *bytes),
    }
}
