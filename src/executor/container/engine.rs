//! The engine's API: where it is, how it is spoken to, and what becomes of a question.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker, errors::Error};

use super::handle::ContainerHandle;
use crate::{
    executor::{QueryError, SubmitError},
    job::{Handle, Place},
    outbound,
};

/// One request is answered within this, or it is lost; the server waits a little longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(50);

/// Where the engine's clients look when nothing is said.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// What an engine speaks is believed for so long. Podman asks Debian's package manager whenever it is asked for that, which
/// takes a second of a core.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// What engines speak, by their places, and when they said so.
static TOLD: Mutex<BTreeMap<String, (ClientVersion, Instant)>> = Mutex::new(BTreeMap::new());

fn told() -> MutexGuard<'static, BTreeMap<String, (ClientVersion, Instant)>> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where an engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Engine {
    /// A socket of this machine.
    Socket(String),
    /// `host:port`, without TLS.
    Tcp(String),
    /// `host:port`, with TLS on both sides.
    Tls(String, Certificates),
}

/// Files in PEM by which we and an engine know each other. Read for each connection, so they may be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificates {
    /// Who signs for the engine.
    pub(super) ca: PathBuf,
    /// What we show it.
    pub(super) cert: PathBuf,
    /// The key to that.
    pub(super) key: PathBuf,
}

impl Certificates {
    /// One that cannot be read would only be seen as the engine's refusal.
    fn look(&self) -> Result<(), Fault> {
        for path in [&self.ca, &self.cert, &self.key] {
            let away = |error| Fault::Away(format!("cannot read {}: {error}", path.display()));
            File::open(path).map_err(away)?;
        }
        Ok(())
    }

    /// The files as every client of Docker names them.
    fn in_folder(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.pem"),
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }
    }
}

/// Why a question has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Nobody was reached, so nothing was asked.
    #[error("the container engine cannot be reached: {0}")]
    Away(String),
    /// It answered, and refused.
    #[error("the container engine says: {message}")]
    Refused {
        /// As HTTP has it.
        status: u16,
        /// Its words.
        message: String,
    },
    /// It was asked, and the answer is not known.
    #[error("the container engine's answer was lost: {0}")]
    Lost(String),
}

impl Engine {
    /// Reads `/run/docker.sock`, `unix:///run/docker.sock`, `tcp://host:2375`, `http://host:2375`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form =
            "must be a socket, as in \"unix:///var/run/docker.sock\", or \"tcp://host:2375\"";
        if let Some(path) = text.strip_prefix("unix://").or(Some(text))
            && path.starts_with('/')
        {
            return Ok(Self::Socket(path.to_owned()));
        }
        if text.starts_with("https://") {
            return Err("must be written \"tcp://host:2376\", with the key tls".to_owned());
        }
        if text.starts_with("ssh://") {
            return Err("is not spoken: let the engine be reached by a socket, such as one that ssh -L forwards".to_owned());
        }
        let host = text.strip_prefix("tcp://").or(text.strip_prefix("http://"));
        match host.map(|host| host.trim_end_matches('/')) {
            Some(host) if !host.is_empty() && !host.contains('/') => Ok(Self::Tcp(host.to_owned())),
            _ => Err(form.to_owned()),
        }
    }

    /// `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` as every client has them, else the usual socket.
    pub(super) fn of_environment() -> Result<Self, String> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(host) = set("DOCKER_HOST") else {
            return Ok(Self::Socket(DEFAULT_SOCKET.to_owned()));
        };
        let refused = |why| format!("is not given, and DOCKER_HOST ({host}) {why}");
        let engine = Self::parse(&host).map_err(refused)?;
        if set("DOCKER_TLS_VERIFY").is_none() {
            return Ok(engine);
        }
        let own = || set("HOME").map(|home| format!("{home}/.docker"));
        match set("DOCKER_CERT_PATH").or_else(own) {
            Some(folder) => engine.secured(Certificates::in_folder(Path::new(&folder))),
            None => {
                Err("is not given, and DOCKER_TLS_VERIFY is without DOCKER_CERT_PATH".to_owned())
            }
        }
    }

    /// The same engine, spoken to by TLS.
    pub(super) fn secured(self, certificates: Certificates) -> Result<Self, String> {
        match self {
            Self::Socket(_) => Err("is for a host, and a socket is given".to_owned()),
            Self::Tcp(host) | Self::Tls(host, _) => Ok(Self::Tls(host, certificates)),
        }
    }

    /// The engine, as handles know it.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Socket(path) => {
                // Everywhere the one is a link to the other.
                let rest = path.strip_prefix("/var");
                let path = rest
                    .filter(|rest| rest.starts_with("/run/"))
                    .unwrap_or(path);
                Place::at(format!("unix://{path}"))
            }
            Self::Tcp(host) | Self::Tls(host, _) => Place::at(format!("tcp://{host}")),
        }
    }

    /// What is kept of an attempt, if this engine is the one that has it.
    pub(super) fn own(&self, handle: &Handle) -> Result<ContainerHandle, QueryError> {
        QueryError::of_place(handle, &self.place())?;
        Ok(ContainerHandle::unpack(handle)?)
    }

    /// Whether its containers run under our own kernel: then a free lock means that nobody holds it.
    pub(super) fn is_of_this_machine(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    /// Finds out which version of the API it speaks: an engine may be replaced while we live.
    pub(super) async fn connect(&self) -> Result<Docker, Fault> {
        let asked = self.client(API_DEFAULT_VERSION)?.negotiate_version().await;
        // Whatever goes wrong here, nothing was asked of it that matters.
        let docker = asked.map_err(|error| match Fault::from(error) {
            Fault::Lost(text) => Fault::Away(text),
            other => other,
        })?;
        told().insert(
            self.place().address,
            (docker.client_version(), Instant::now()),
        );
        Ok(docker)
    }

    /// The same, for questions that come every second: what it speaks is asked for once a minute. Where it was replaced
    /// meanwhile by an older one, it refuses them, and no refusal of a look is an outcome.
    pub(super) async fn connect_often(&self) -> Result<Docker, Fault> {
        let known = told().get(&self.place().address).copied();
        match known.filter(|(_, at)| at.elapsed() < TOLD_FOR) {
            Some((version, _)) => self.client(&version),
            None => self.connect().await,
        }
    }

    fn client(&self, version: &ClientVersion) -> Result<Docker, Fault> {
        let seconds = REQUEST_TIMEOUT.as_secs();
        let docker = match self {
            Self::Socket(path) => Docker::connect_with_unix(path, seconds, version),
            Self::Tcp(host) => Docker::connect_with_http(host, seconds, version),
            Self::Tls(host, certificates) => {
                outbound::provide_tls();
                certificates.look()?;
                let Certificates { ca, cert, key } = certificates;
                Docker::connect_with_ssl(host, key, cert, ca, seconds, version)
            }
        };
        docker.map_err(|error| Fault::Away(error.to_string()))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refused {
                status: status_code,
                message,
            },
            Error::DockerStreamError { error } => Self::Refused {
                status: 500,
                message: error,
            },
            Error::SocketNotFoundError(path) => Self::Away(format!("there is no {path}")),
            Error::HyperLegacyError { err } if err.is_connect() => Self::Away(explained(&err)),
            Error::HyperLegacyError { err } => Self::Lost(explained(&err)),
            Error::RequestTimeoutError => Self::Lost("it did not answer in time".to_owned()),
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl Fault {
    /// What a submit makes of it when the engine may have done what it was asked.
    pub(super) fn of_submit(self) -> SubmitError {
        let text = self.to_string();
        match self {
            Self::Away(_) => SubmitError::Transient(text),
            // Its own mistake, not the launch's: who knows what it has done.
            Self::Refused { status, .. } if status >= 500 => SubmitError::Ambiguous(text),
            Self::Refused { .. } => SubmitError::Rejected(text),
            Self::Lost(_) => SubmitError::Ambiguous(text),
        }
    }

    /// Whether there is no such container or image.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. }) || self.is_removal_meanwhile()
    }

    /// What podman answers when a container goes away while it answers.
    pub(super) fn is_removal_meanwhile(&self) -> bool {
        matches!(self, Self::Refused { status: 500, message } if message.contains("no such container"))
    }

    /// Docker answers 409 when a name is taken, podman 500.
    pub(super) fn is_taken_name(&self) -> bool {
        match self {
            Self::Refused { status: 409, .. } => true,
            Self::Refused {
                status: 500,
                message,
            } => message.contains("already in use"),
            _ => false,
        }
    }
}

fn explained(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = outbound::innermost(error);
    if text.contains("ermission denied") {
        text.push_str(" (may our user use the socket? For Docker: add it to the group docker)");
    }
    text
}
