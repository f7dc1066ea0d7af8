//! What a demo needs on disk: all of it is in the program, unless it plays a model of the user's own.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use uuid::Uuid;

use super::{Complaint, understand};
use crate::config::{self, Access, Config, ExecutorEntry, Secret, SecretRef, ServerConfig};

/// The examples that the shipped `models.toml` runs, by their paths beside it.
const FILES: [(&str, &str); 4] = [
    ("models.toml", include_str!("../../../models.toml")),
    (
        "examples/digits/train.py",
        include_str!("../../../examples/digits/train.py"),
    ),
    (
        "examples/entities/train.py",
        include_str!("../../../examples/entities/train.py"),
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
    /// The user's own settings; the shipped ones if none.
    own: Option<PathBuf>,
}

impl DemoFiles {
    /// Unpacks into `keep`, which must be new, or into a folder for temporary files.
    /// With settings of the user's `own`, only what the demo leaves lies there.
    pub(super) fn unpack(keep: Option<PathBuf>, own: Option<PathBuf>) -> Result<Self, Complaint> {
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
            own,
        };
        files
            .write_all()
            .map_err(|error| format!("cannot write {}: {error}", files.folder.display()))?;
        Ok(files)
    }

    fn write_all(&self) -> std::io::Result<()> {
        let shipped = FILES.iter().filter(|_| self.own.is_none());
        for (name, content) in shipped {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            fs::write(path, content)?;
        }
        write_private(&self.secret_file(), self.secret.expose())?;
        write_private(&self.key_file(), "any key will do for the emulator")
    }

    /// The settings with addresses, folders and secrets of the demo's own, and no model but the one that is played.
    pub(super) fn settings(
        &self,
        endpoint: &str,
        model: Option<&str>,
    ) -> Result<(Config, Vec<ExecutorEntry>), Complaint> {
        let (mut config, executors) = self.read()?;
        for address in [&mut config.server.listen, &mut config.server.admin_listen] {
            *address = SocketAddr::from(([127, 0, 0, 1], 0));
        }
        config.server.access = Access::default();
        config.server.tls = None;
        config.server.state_dir = self.folder.join("state");
        config.server.jobs_dir = self.folder.join("jobs");
        config.server.media_cache = ServerConfig::media_cache_in(&config.server.jobs_dir);
        if let Some(jobs) = &mut config.server.jobs {
            // A server of the same settings may have the port.
            jobs.move_to_free_port();
        }
        config.reporting.interval = REPORT_INTERVAL;
        config.workspaces.truncate(1);
        for workspace in &mut config.workspaces {
            workspace.path = "/".to_owned();
            workspace.webhook_secrets = vec![SecretRef::File(self.secret_file())];
            workspace.unsigned = false;
            workspace.api_key = SecretRef::File(self.key_file());
            workspace.endpoint = endpoint.to_owned();
            workspace.models = None;
        }
        choose(&mut config, model)?;
        Ok((config, executors))
    }

    fn read(&self) -> Result<(Config, Vec<ExecutorEntry>), Complaint> {
        match &self.own {
            None => understand(config::parse(FILES[0].1, &self.folder.join(FILES[0].0))),
            Some(file) => understand(config::read(file).map_err(|error| error.to_string())?),
        }
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

/// Leaves the model of that name alone in the settings; the first one, if none is named.
fn choose(config: &mut Config, model: Option<&str>) -> Result<(), Complaint> {
    let slugs: Vec<&str> = config
        .models
        .iter()
        .map(|model| model.slug.as_str())
        .collect();
    let at = match model {
        None => (!slugs.is_empty()).then_some(0),
        Some(model) => slugs.iter().position(|slug| *slug == model),
    };
    let at = at.ok_or_else(|| {
        let wanted =
            model.map_or_else(|| "a model".to_owned(), |model| format!("[models.{model}]"));
        format!(
            "{} has no {wanted}; it has: {}",
            config.file.display(),
            slugs.join(", ")
        )
    })?;
    config.models = vec![config.models.swap_remove(at)];
    Ok(())
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
