//! The wire between the server and a supervisor that shares no files with it: what is said, and who may say it.
//!
//! The supervisor asks, the server answers; every request may be repeated. Offsets say where bytes begin, and each
//! answer says how far the server is, so that both go on from there after whatever was cut. Only
//! `410 {"revoked": "<launch id>"}` ends a supervisor's work: any other answer that it does not understand means "later".
//!
//! ```text
//! POST /jobs/{launch}/claim      ClaimRequest → ClaimAnswer; 409: another supervisor has it
//! GET  /jobs/{launch}/manifest   FileRecord, one a line; ranges; 503 while it is made
//! GET  /jobs/{launch}/files/{path}   webhook.json, data/…, code/…; ranges
//! POST /jobs/{launch}/heartbeat  Heartbeat → Standing
//! PUT  /jobs/{launch}/events?offset=N                                     bytes → Standing
//! PUT  /jobs/{launch}/log?offset=N                                        bytes → Standing
//! PUT  /jobs/{launch}/out/{path}?offset=N&size=N&sha256=H                 bytes → Standing
//! PUT  /jobs/{launch}/exit       ExitRecord → Standing; goes last
//! ```

mod key;

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{
    config::Secret,
    job::LaunchId,
    job_dir::{CancelRequest, JobDir, Request},
};

pub use key::{MirrorKey, hex};

/// The variable that brings a launch's token to its supervisor, which takes it out of the command's environment.
pub const TOKEN_VARIABLE: &str = "TRAINHOOK_MIRROR_TOKEN";

/// The longest body that the server takes, in bytes.
pub const BODY_LIMIT: u64 = 4 << 20;

/// The longest path below `out/`, in bytes.
const PATH_LIMIT: usize = 1024;

/// How a supervisor without the job directory reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorAccess {
    /// What precedes `/jobs/…`.
    pub url: String,
    /// Good for the claim alone, which trades it for the attempt's own token: an engine may show it.
    pub token: Secret,
}

/// Who wants to run the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// Random; the same one may claim again.
    pub instance: Uuid,
    /// The boot of its machine.
    pub boot_id: String,
    /// Its machine.
    pub machine_id: String,
    /// The engine's own name of the attempt, as far as it is known there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_id: Option<String>,
}

/// What the winner of a claim is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimAnswer {
    /// Good for everything else, as long as the attempt counts.
    pub token: Disclosed,
    /// Secrets of the model for the command, and what is passed on of the server's environment: they are in no launch, so no engine can show them.
    #[serde(default)]
    pub env: BTreeMap<String, Disclosed>,
    /// What is to be done.
    pub request: Request,
}

/// A secret on its way to the one who may have it: shown on the wire, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosed(pub Secret);

impl Serialize for Disclosed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Disclosed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// A supervisor's sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Grows by one each time.
    pub count: u64,
}

/// What the server says to whoever tells it something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The wish that the command stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelRequest>,
    /// How far the server is, in bytes from the beginning: send on from here.
    #[serde(default)]
    pub have: u64,
}

/// The answer that ends a supervisor's work: its attempt does not count any longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// The attempt, so that no stranger's 410 is taken for it.
    pub revoked: LaunchId,
}

/// The job's folder on a machine that shares no files with the server, where such folders are made below `work_dir`.
#[must_use]
pub fn home_of(work_dir: &Path, launch_id: LaunchId) -> JobDir {
    JobDir::at(work_dir.join(launch_id.to_string()))
}

/// Whether a path of several names stays where it begins: no empty name, no `.`, no `..`, nothing that a name cannot
/// hold, and not longer than is sensible.
#[must_use]
pub fn stays_inside(path: &str) -> bool {
    let fits = |name: &str| !name.is_empty() && name != "." && name != ".." && name.len() <= 255;
    path.len() <= PATH_LIMIT
        && !path.contains('\0')
        && path.split('/').all(fits)
        && Path::new(path).is_relative()
}
