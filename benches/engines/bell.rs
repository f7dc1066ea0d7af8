//! The instant at which a command begins, wherever it runs: it writes into a named pipe, and we read.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Mutex,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

/// No command takes longer to begin.
const LIMIT: Duration = Duration::from_secs(60);

/// A pipe that commands ring.
pub(crate) struct Bell {
    folder: TempDir,
    rung: Mutex<Receiver<Instant>>,
}

impl Bell {
    pub(crate) fn hang() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("bell");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from(0o666), 0).expect("a pipe");
        let open_to_all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open_to_all).expect("the folder is ours");
        let (ring, rung) = channel();
        std::thread::spawn(move || {
            // It opens when somebody opens its other end.
            while let Ok(mut end) = File::open(&pipe) {
                let now = Instant::now();
                let mut text = String::new();
                let _read = end.read_to_string(&mut text);
                if ring.send(now).is_err() {
                    return;
                }
            }
        });
        let rung = Mutex::new(rung);
        Self { folder, rung }
    }

    /// The folder that a container must see.
    pub(crate) fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// The command, as a line of sh.
    pub(crate) fn script(&self) -> String {
        let pipe: PathBuf = self.folder.path().join("bell");
        format!("echo > {}", pipe.display())
    }

    /// When it was rung.
    pub(crate) fn wait(&self) -> Instant {
        let rung = self.rung.lock().expect("nobody panics");
        rung.recv_timeout(LIMIT).expect("the command begins")
    }
}
