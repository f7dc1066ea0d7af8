//! `[server]`: addresses, folders, limits.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;

use super::Access;

/// `[server]`: addresses, folders, limits.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where Labelbox reaches us. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Where people and the command line reach us. Default `127.0.0.1:8081`.
    pub admin_listen: SocketAddr,
    /// Who may send requests there.
    pub access: Access,
    /// Set if that listener speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// Where supervisors on other machines reach us; none if there are none.
    pub jobs: Option<JobsConfig>,
    /// The database; a local disk. Default `state`.
    pub state_dir: PathBuf,
    /// The job directories; may be a shared file system. Default `jobs`.
    pub jobs_dir: PathBuf,
    /// With less room on a disk that it writes to, the server starts nothing new, in bytes. Default 200 MB.
    pub min_free: u64,
    /// The longest body taken from Labelbox, in bytes. Default 1 MiB.
    pub max_body: u64,
    /// A request's headers must be complete within this. Default 10 s.
    pub header_timeout: Duration,
    /// A request's body must be complete within this. Default 30 s.
    pub body_timeout: Duration,
    /// Connections served at once on one listener; more wait. Default 512.
    pub max_connections: u32,
    /// The same body within this time of its acceptance is a redelivery. Default 10 s.
    pub redelivery_window: Duration,
    /// How long answers may take to finish after SIGTERM. Default 5 s.
    pub shutdown_grace: Duration,
    /// Networks that data rows' files may come from although they are not public. None by default.
    pub media_allow: Vec<IpNet>,
    /// The proxy through which those files are fetched.
    pub media_proxy: Option<String>,
    /// Where fetched files are kept for the next job. Default `.media` below `jobs_dir`.
    pub media_cache: PathBuf,
    /// So much is kept there, in bytes; nothing if 0. Default 10 GB.
    pub media_cache_size: u64,
    /// Where people can see a job; a link `<dashboard_url>/jobs/<id>` goes into failure messages.
    pub dashboard_url: Option<String>,
}

/// The listener for supervisors that share no files with the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsConfig {
    /// `jobs_listen`.
    pub listen: SocketAddr,
    /// `jobs_url`: how nodes reach it; without a slash at its end. Made of the address if it is not given.
    pub url: Option<String>,
    /// `[server.jobs_tls]`: set if it speaks TLS itself.
    pub tls: Option<TlsFiles>,
    /// What an attempt may leave in `out/`, in bytes. Default 20 GB.
    pub max_output: u64,
    /// What an attempt may tell in events, in bytes. Default 64 MiB.
    pub max_events: u64,
}

impl ServerConfig {
    /// Where fetched files are kept if nothing is said; no job has this name.
    #[must_use]
    pub fn media_cache_in(jobs_dir: &Path) -> PathBuf {
        jobs_dir.join(".media")
    }
}

impl JobsConfig {
    /// Has supervisors find the server at a port that is free, if nothing but this machine is led to the listener. A
    /// `jobs_url` that leads through a proxy or from other machines cannot be led elsewhere from here; answers whether.
    pub fn move_to_free_port(&mut self) -> bool {
        let port = self.listen.port();
        let leads_here = |url: &String| {
            let host = url.split("://").nth(1).unwrap_or_default();
            host == self.listen.to_string() || host == format!("localhost:{port}")
        };
        let may_move = self.listen.ip().is_loopback() && self.url.as_ref().is_none_or(leads_here);
        if may_move {
            // It is made of the address then.
            self.url = None;
            self.listen.set_port(0);
        }
        may_move
    }

    /// How nodes reach a server that listens at `address`.
    #[must_use]
    pub fn url_at(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = self.url.clone();
        url.unwrap_or_else(|| format!("{scheme}://{address}"))
    }
}

/// `[server.tls]`: files in PEM, read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its root, in that order.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}
