//! `server/predictions.rejected.ndjson`: everything that was not taken, by whomever.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{Problem, lines::Lines};
use crate::job_dir::files;

/// Its name in a job's `server` folder.
const NAME: &str = "predictions.rejected.ndjson";

/// Rejected lines that are listed; more are counted only.
pub const MOST_LISTED: u64 = 100_000;

/// The list of what was not taken, as it is written.
#[derive(Debug)]
pub struct RejectedFile {
    file: BufWriter<fs::File>,
    draft: PathBuf,
    path: PathBuf,
    listed: u64,
}

impl RejectedFile {
    /// Where a job's list is, in its `server` folder.
    #[must_use]
    pub fn path(server: &Path) -> PathBuf {
        server.join(NAME)
    }

    /// Begins the list of a job anew; readers see the old one until it is done.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(server: &Path) -> io::Result<Self> {
        let path = Self::path(server);
        let draft = path.with_extension("new");
        Ok(Self {
            file: BufWriter::new(fs::File::create(&draft)?),
            draft,
            path,
            listed: 0,
        })
    }

    /// Lists one more, unless there are very many.
    ///
    /// # Errors
    /// As the file system says.
    pub fn add(&mut self, problem: &Problem) -> io::Result<()> {
        self.listed += 1;
        if self.listed > MOST_LISTED {
            return Ok(());
        }
        serde_json::to_writer(&mut self.file, problem).map_err(io::Error::other)?;
        self.file.write_all(b"\n")
    }

    /// Lists everything that stands in the job's list already.
    ///
    /// # Errors
    /// As the file system says.
    pub fn take_over(
        &mut self,
        server: &Path,
        wanted: impl Fn(&Problem) -> bool,
    ) -> io::Result<()> {
        let Some(file) = files::open_untrusted(server, NAME)? else {
            return Ok(());
        };
        let mut lines = Lines::of(io::BufReader::new(file));
        let mut unread = 0_u64;
        while let Some(line) = lines.next()? {
            match serde_json::from_slice::<Problem>(line.text) {
                Ok(problem) if wanted(&problem) => self.add(&problem)?,
                Ok(_) => {}
                Err(_) => unread += 1,
            }
        }
        if unread > 0 {
            // Somebody has changed it: no reason to hold up what is sent.
            tracing::warn!("{unread} lines of {NAME} are not understood, and left out");
        }
        Ok(())
    }

    /// Puts the list where people find it; an empty one is none.
    ///
    /// # Errors
    /// As the file system says.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        let server = self.path.parent().unwrap_or(Path::new("."));
        if self.listed == 0 {
            fs::remove_file(&self.draft)?;
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => return Ok(()),
            }
        }
        self.file.get_ref().sync_all()?;
        fs::rename(&self.draft, &self.path)?;
        files::sync_dir(server)
    }
}
