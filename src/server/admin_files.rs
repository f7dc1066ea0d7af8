//! What a server leaves in its `state_dir` for the command line: the admin token, and where it listens.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Addresses;
use crate::{config::Secret, http::admin::AdminToken};

/// `server.json`: a running server's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Its process.
    pub pid: u32,
    /// Where Labelbox reaches it.
    pub listen: SocketAddr,
    /// Where people reach it.
    pub admin: SocketAddr,
    /// Where supervisors reach it, if they are heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<SocketAddr>,
    /// Its version.
    pub version: String,
}

impl ServerInfo {
    pub(super) fn of_this_process(addresses: Addresses) -> Self {
        Self {
            pid: std::process::id(),
            listen: addresses.labelbox,
            admin: addresses.admin,
            jobs: addresses.jobs,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// `server.json`, for as long as the server runs.
#[derive(Debug)]
pub(super) struct ServerFile {
    path: PathBuf,
}

impl ServerFile {
    pub(super) fn write(state_dir: &Path, info: &ServerInfo) -> io::Result<Self> {
        let path = state_dir.join("server.json");
        crate::job_dir::files::write_atomic(
            &path,
            &serde_json::to_vec(info).map_err(io::Error::other)?,
        )?;
        Ok(Self { path })
    }
}

impl Drop for ServerFile {
    fn drop(&mut self) {
        // Whoever finds a stale one gets "connection refused", which says the same.
        let _ = fs::remove_file(&self.path);
    }
}

/// Reads where the server of `state_dir` listens; none if none is running there.
///
/// # Errors
/// When the file is there but unreadable.
pub fn read_server_info(state_dir: &Path) -> io::Result<Option<ServerInfo>> {
    match fs::read(state_dir.join("server.json")) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the admin token of `state_dir` stands; only its owner may read it.
#[must_use]
pub fn admin_token_path(state_dir: &Path) -> PathBuf {
    state_dir.join("admin.token")
}

/// The admin token, made at the first start: 256 random bits.
pub(super) fn admin_token(state_dir: &Path) -> io::Result<AdminToken> {
    let path = admin_token_path(state_dir);
    let token = match fs::read_to_string(&path) {
        Ok(token) if token.trim().len() >= 64 => token.trim().to_owned(),
        _ => {
            let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            let _old = fs::remove_file(&path);
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            io::Write::write_all(&mut file, token.as_bytes())?;
            token
        }
    };
    Ok(AdminToken::new(Secret::new(token)))
}
