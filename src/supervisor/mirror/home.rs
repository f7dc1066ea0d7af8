//! The job directory of this machine: the same shape, in a folder that only we can read, found again by the launch id.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use crate::{
    job::LaunchId,
    job_dir::{AttemptDir, JobDir, files},
    mirror::home_of,
};

/// The longest instance file believed, in bytes.
const INSTANCE_LIMIT: u64 = 1024;

/// The folder of one launch.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) job: JobDir,
    pub(super) dir: AttemptDir,
}

impl Home {
    /// Makes the folder of a launch below `work_dir`, or below the place that the environment suggests; finds the one
    /// that an earlier supervisor of the launch has made.
    pub(super) fn open(work_dir: Option<PathBuf>, launch_id: LaunchId) -> io::Result<Self> {
        let root = std::path::absolute(work_dir.unwrap_or_else(default_root))?;
        make_private(&root)?;
        let job = home_of(&root, launch_id);
        let dir = job.attempt(launch_id.attempt);
        for folder in [job.data(), job.server(), job.parts(), dir.path().to_owned()] {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { job, dir })
    }

    /// The instance that claims: the same one in every supervisor of this launch here.
    pub(super) fn instance(&self) -> io::Result<Uuid> {
        let name = "instance.json";
        if let Some(instance) = files::read_json(&self.job.server(), name, INSTANCE_LIMIT)? {
            return Ok(instance);
        }
        let instance = Uuid::new_v4();
        let text = serde_json::to_vec(&instance).map_err(io::Error::other)?;
        files::write_atomic(&self.job.server().join(name), &text)?;
        Ok(instance)
    }

    /// Nothing of it is owed any more.
    pub(super) fn remove(self) {
        let path = self.job.path();
        if let Err(error) = fs::remove_dir_all(path) {
            eprintln!("{} cannot be removed: {error}", path.display());
        }
    }
}

impl JobDir {
    /// Where files grow that are not here yet.
    pub(super) fn parts(&self) -> PathBuf {
        self.server().join("parts")
    }
}

/// `$TMPDIR/trainhook-<user>`, else `trainhook` in the user's cache, else `/tmp/trainhook-<user>`.
fn default_root() -> PathBuf {
    let folder = |name: &str| {
        let value = std::env::var_os(name).map(PathBuf::from);
        value.filter(|path| path.is_absolute())
    };
    let own = format!("trainhook-{}", rustix::process::getuid().as_raw());
    let cache = || {
        let home = || folder("HOME").map(|home| home.join(".cache"));
        Some(folder("XDG_CACHE_HOME").or_else(home)?.join("trainhook"))
    };
    let tmpdir = folder("TMPDIR").map(|tmpdir| tmpdir.join(&own));
    tmpdir
        .or_else(cache)
        .unwrap_or_else(|| Path::new("/tmp").join(own))
}

/// Makes the folder ours alone; one that another user has put there is refused.
fn make_private(root: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    let metadata = fs::symlink_metadata(root)?;
    let is_ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if is_ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} is a link, or others may write to it: name another folder with --work-dir",
        root.display()
    )))
}
