//! What an earlier job froze and Labelbox did not take, frozen once more for another job.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{By, Chunk, Frozen, RejectedFile, chunks::Chunks, freeze::Draft};

/// What became of a chunk of the earlier job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Labelbox looked at all of its lines.
    Finished,
    /// Labelbox may have it, under this name.
    Sent(String),
    /// Labelbox does not have it.
    NotTaken,
}

/// Freezes in `server` what `earlier`, frozen in `from`, still owes Labelbox. `fates` says what became of each chunk,
/// in their order; lines that are sent once more come in chunks of at most `most_lines`.
///
/// # Errors
/// As the file system says; nothing of it is left then.
pub fn resend(
    (from, earlier): (&Path, &Frozen),
    fates: &[Fate],
    (server, most_lines): (&Path, u32),
) -> io::Result<Draft> {
    let folder = Draft::folder(server)?;
    let mut resending = Resending {
        from,
        folder: &folder,
        frozen: Frozen {
            lines: earlier.lines,
            taken: earlier.taken,
            rejected: earlier.rejected,
            first: earlier.first.clone(),
            chunks: Vec::new(),
        },
    };
    // Lines that are sent once more come after the chunks that are sent whole.
    let whole = fates.iter().filter(|fate| **fate != Fate::Finished).count();
    let next = u32::try_from(whole + 1).unwrap_or(u32::MAX);
    let mut chunks = Chunks::begin(&folder, most_lines, next);
    for (chunk, fate) in earlier.chunks.iter().zip(fates) {
        match fate {
            Fate::Sent(name) => resending.link(chunk, Some(name.clone()))?,
            Fate::NotTaken => resending.link(chunk, None)?,
            Fate::Finished => resending.add_refused(chunk, &mut chunks)?,
        }
    }
    let mut frozen = resending.frozen;
    frozen.chunks.extend(chunks.finish()?);
    let mut list = RejectedFile::create(server)?;
    list.take_over(from, |problem| problem.by == By::Trainhook)?;
    list.finish()?;
    Ok(Draft::new(frozen, folder, server))
}

struct Resending<'a> {
    from: &'a Path,
    folder: &'a Path,
    frozen: Frozen,
}

impl Resending<'_> {
    /// The chunk as it is, under a number of this job.
    fn link(&mut self, chunk: &Chunk, name: Option<String>) -> io::Result<()> {
        // Read first: what is not whole is not taken over.
        drop(chunk.open(self.from)?);
        drop(chunk.origins(self.from)?);
        let number = u32::try_from(self.frozen.chunks.len() + 1).unwrap_or(u32::MAX);
        for ending in ["ndjson", "lines"] {
            let old = Frozen::folder(self.from).join(format!("c{}.{ending}", chunk.number));
            link_or_copy(&old, &self.folder.join(format!("c{number}.{ending}")))?;
        }
        self.frozen.chunks.push(Chunk {
            number,
            name,
            ..chunk.clone()
        });
        Ok(())
    }

    /// Adds the lines that Labelbox did not take of a chunk that it has looked at. Lines without a uuid are metrics,
    /// which it updates if they come again.
    fn add_refused(&mut self, chunk: &Chunk, chunks: &mut Chunks) -> io::Result<()> {
        let problems = chunk.refused(self.from)?.ok_or_else(|| {
            let text = format!("upload/c{}.refused.ndjson is gone", chunk.number);
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        let refused: HashSet<Uuid> = problems.iter().filter_map(|problem| problem.uuid).collect();
        let metrics_too = problems.iter().any(|problem| problem.uuid.is_none());
        let mut again = 0;
        if !problems.is_empty() {
            let content = chunk.read(self.from)?;
            let origins = chunk.origins(self.from)?;
            for (line, origin) in content.split(|byte| *byte == b'\n').zip(origins) {
                if origin
                    .uuid
                    .map_or(metrics_too, |uuid| refused.contains(&uuid))
                {
                    chunks.add(line, origin)?;
                    again += 1;
                }
            }
        }
        self.frozen.taken += chunk.lines.saturating_sub(again);
        Ok(())
    }
}

/// Frozen files never change, so that two jobs can share one.
fn link_or_copy(old: &PathBuf, new: &Path) -> io::Result<()> {
    match fs::hard_link(old, new) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
        Err(_) => {
            fs::copy(old, new)?;
            fs::File::open(new)?.sync_all()
        }
    }
}
