//! What a demo needs on disk: all of it is in the program.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use uuid::Uuid;

use super::{Complaint, understand};
use crate::config::{Config, ExecutorEntry, Secret, SecretRef};

/// The example that the shipped `models.toml` runs, by its path beside it.
const FILES: [(&str, &str); 4] = [
    ("models.toml", include_str!("../../../models.toml")),
    (
        "examples/digits/train.py",
        include_str!("../../../examples/digits/train.py"),
    ),
    (
        "examples/digits/digits.csv",
        include_str!("../../../examples/digits/digits.csv"),
    ),
    (
        "examples/digits/ATTRIBUTION.md",
        include_str!("../../../examples/digits/ATTRIBUTION.md"),
    ),
];

/// Progress is told more often than a real Labelbox would care for, so that there is something to see.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// A folder with everything; removed at the end unless it is to be kept.
#[derive(Debug)]
pub(super) struct DemoFiles {
    folder: PathBuf,
    keep: bool,
    secret: Secret,
}

impl DemoFiles {
    /// Unpacks into `keep`, which must be new, or into a folder for temporary files.
    pub(super) fn unpack(keep: Option<PathBuf>) -> Result<Self, Complaint> {
        let name = format!("trainhook-demo-{}", Uuid::new_v4().simple());
        let (folder, keep) = match keep {
            Some(folder) => (folder, true),
            None => (std::env::temp_dir().join(name), false),
        };
        let cannot = |error| format!("cannot make {}: {error}", folder.display());
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(cannot)?;
        let folder = std::path::absolute(&folder).map_err(cannot)?;
        let files = Self {
            folder,
            keep,
            secret: Secret::new(Uuid::new_v4().simple().to_string()),
        };
        files
            .write_all()
            .map_err(|error| format!("cannot write {}: {error}", files.folder.display()))?;
        Ok(files)
    }

    fn write_all(&self) -> std::io::Result<()> {
        for (name, content) in FILES {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            fs::write(path, content)?;
        }
        write_private(&self.secret_file(), self.secret.expose())?;
        write_private(&self.key_file(), "any key will do for the emulator")
    }

    /// The shipped settings, with addresses, folders and secrets of the demo's own.
    pub(super) fn settings(
        &self,
        endpoint: &str,
    ) -> Result<(Config, Vec<ExecutorEntry>), Complaint> {
        let (mut config, executors) = understand(FILES[0].1, &self.folder.join("models.toml"))?;
        for address in [&mut config.server.listen, &mut config.server.admin_listen] {
            address.set_port(0);
        }
        config.reporting.interval = REPORT_INTERVAL;
        for workspace in &mut config.workspaces {
            workspace.webhook_secrets = vec![SecretRef::File(self.secret_file())];
            workspace.api_key = SecretRef::File(self.key_file());
            workspace.endpoint = endpoint.to_owned();
        }
        Ok((config, executors))
    }

    /// The webhook secret that the emulated Labelbox signs with.
    pub(super) fn secret(&self) -> Secret {
        self.secret.clone()
    }

    /// The folder, if it stays.
    pub(super) fn kept(&self) -> Option<&Path> {
        self.keep.then_some(self.folder.as_path())
    }

    fn secret_file(&self) -> PathBuf {
        self.folder.join("webhook-secret")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("api-key")
    }
}

impl Drop for DemoFiles {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            eprintln!(
                "trainhook demo: cannot remove {}: {error}",
                self.folder.display()
            );
        }
    }
}

fn write_private(path: &Path, content: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content.as_bytes())
}

/// The example is a Python script; nothing else is asked of it than to be there.
pub(super) fn find_python() -> Result<(), Complaint> {
    let asked = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match asked {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "python3 does not work here ({status}), and the example needs it"
        )),
        Err(error) => Err(format!(
            "python3 cannot be started ({error}): the example needs it, please install it"
        )),
    }
}
