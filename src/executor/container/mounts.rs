//! What of this machine a container sees.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::config::path_from;

/// Where our own program lies in a container.
pub(super) const PROGRAM: &str = "/opt/trainhook/trainhook";

/// An empty folder in the place of one that no job may see.
const MASK_BYTES: u64 = 64 * 1024;

/// One mount, as people write it: `"/data/imagenet:/data:ro"`, `"cache:/root/.cache"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    source: Source,
    target: PathBuf,
    access: Access,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// A file or folder of the engine's machine.
    Path(PathBuf),
    /// A volume of the engine.
    Volume(String),
    /// Nothing: it hides what would be there.
    Nothing,
}

/// What may be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    ReadWrite,
}

impl Mount {
    /// Reads `source:target`, `source:target:ro` or `source:target:rw`. A source that begins with a dot starts at `folder`; one
    /// without a slash is the name of a volume.
    pub(super) fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let form = || {
            format!(
                "{text:?} is no mount: write \"/on/the/host:/in/the/container\", with \":ro\" to only read"
            )
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, access) = match parts[..] {
            [source, target] | [source, target, "rw"] => (source, target, Access::ReadWrite),
            [source, target, "ro"] => (source, target, Access::Read),
            _ => return Err(form()),
        };
        let target = Path::new(target);
        let climbs = target.components().any(|part| part == Component::ParentDir);
        if source.is_empty() || !target.is_absolute() || target == Path::new("/") || climbs {
            return Err(form());
        }
        let source = match source {
            path if path.starts_with('/') => Source::Path(path.into()),
            path if path.starts_with('.') => Source::Path(path_from(folder, path)),
            name if name.contains('/') => return Err(form()),
            name => Source::Volume(name.to_owned()),
        };
        Ok(Self {
            source,
            target: target.to_owned(),
            access,
        })
    }

    /// A path of this machine, in the same place in the container: whatever names it holds there, too.
    pub(super) fn in_place(path: &Path, access: Access) -> Self {
        Self {
            source: Source::Path(path.to_owned()),
            target: path.to_owned(),
            access,
        }
    }

    /// Our program, where the image has none.
    pub(super) fn program(path: &Path) -> Self {
        Self {
            source: Source::Path(path.to_owned()),
            target: PROGRAM.into(),
            access: Access::Read,
        }
    }

    /// An empty folder in the place of `path`.
    pub(super) fn mask(path: &Path) -> Self {
        Self {
            source: Source::Nothing,
            target: path.to_owned(),
            access: Access::Read,
        }
    }

    /// As the engine's API has it.
    pub(super) fn as_json(&self) -> Value {
        let target = text(&self.target);
        let read_only = self.access == Access::Read;
        match &self.source {
            Source::Path(path) => {
                json!({"Type": "bind", "Source": text(path), "Target": target, "ReadOnly": read_only})
            }
            Source::Volume(name) => {
                json!({"Type": "volume", "Source": name, "Target": target, "ReadOnly": read_only})
            }
            // Not read-only to the engine, which makes the folders in it that other mounts need.
            Source::Nothing => {
                let options = json!({"SizeBytes": MASK_BYTES, "Mode": 0o555});
                json!({"Type": "tmpfs", "Target": target, "TmpfsOptions": options})
            }
        }
    }
}

/// Whether a mount of the engine's API is an empty folder.
pub(super) fn is_mask(mount: &Value) -> bool {
    mount["Type"] == "tmpfs"
}

/// Moves the empty folders to where podman can be told that they are to stay empty.
pub(super) fn mask_for_podman(host_config: &mut Value) {
    let Some(mounts) = host_config["Mounts"].as_array_mut() else {
        return;
    };
    let masks: Vec<Value> = mounts.extract_if(.., |mount| is_mask(mount)).collect();
    let options = format!("rw,size={MASK_BYTES},mode=555,notmpcopyup");
    let masks = masks.iter().filter_map(|mask| mask["Target"].as_str());
    let masks: Map<_, _> = masks
        .map(|target| (target.to_owned(), options.clone().into()))
        .collect();
    host_config["Tmpfs"] = masks.into();
}

/// The folder of a model's code, in place; what of the server's own lies in it is hidden. `/` is the image's own.
pub(super) fn workdir(path: &Path, private: &[&Path]) -> Result<Vec<Mount>, String> {
    let shown = path.display();
    if path == Path::new("/") {
        return Ok(Vec::new());
    }
    if private.iter().any(|private| path.starts_with(private)) {
        return Err(format!(
            "its workdir {shown} cannot be mounted: give the model a folder of its own"
        ));
    }
    if !path.is_dir() {
        return Err(format!(
            "its workdir {shown} is no folder on this machine; for one in the image write workdir in the model's table for containers"
        ));
    }
    let hidden = private
        .iter()
        .filter(|private| private.starts_with(path) && private.is_dir());
    let mut mounts = vec![Mount::in_place(path, Access::Read)];
    mounts.extend(hidden.map(|private| Mount::mask(private)));
    Ok(mounts)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
