//! The accept loop: how many clients at once, how long they may take, how it all ends.
//!
//! warp's own server sets no header time-out and no bound on connections, and one half-sent request holds up its
//! end for ever. So warp's filters are the service of our own loop.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper_util::service::TowerToHyperService;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use warp::{Filter, Reply};

use super::connection::converse;
use crate::backoff::Backoff;

/// Waits between failed accepts: 50 ms, 100 ms, 200 ms, … 2 s.
const ACCEPT_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(50),
    most: Duration::from_secs(2),
};

/// The client's address, in each request's extensions: `warp::ext::optional::<Peer>()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What one listener allows its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A request's head must be complete within this; also the longest a connection may idle between requests,
    /// and the longest a client may take nothing of its answer.
    pub header_timeout: Duration,
    /// Connections served at once; more wait in the kernel's backlog. At least one.
    pub max_connections: u32,
    /// How long requests that are under way may take to finish after the shutdown.
    pub drain: Duration,
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has it.
    #[error(
        "{address} is taken: another program, perhaps another trainhook, listens there; stop it or choose another port"
    )]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// We may not.
    #[error(
        "not permitted to listen on {address}: ports below 1024 need a privilege; choose a higher port"
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
    },
    /// No network card of this machine has it.
    #[error("{address} is no address of this machine: use one that is, or 0.0.0.0 for all")]
    NotOurs {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Listens on `address`; port 0 lets the kernel choose.
///
/// # Errors
/// When the address is taken, not permitted, not this machine's, or refused by the kernel otherwise.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::Taken { address },
            io::ErrorKind::PermissionDenied => BindError::NotPermitted { address },
            io::ErrorKind::AddrNotAvailable => BindError::NotOurs { address },
            _ => BindError::Other { address, source },
        })
}

/// Serves `routes`, by TLS if there is an acceptor, until `shutdown` turns true or its sender is gone; then refuses new connections, lets requests
/// that are under way finish within `limits.drain`, and returns about a second after that at the latest.
///
/// A client that leaves before its answer cancels its request: the route's future is dropped.
pub async fn serve<F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: F,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) where
    F: Filter<Error = Infallible> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
{
    let routes = Arc::new(TowerToHyperService::new(warp::service(routes)));
    let most = limits.max_connections.max(1);
    let slots = Arc::new(Semaphore::new(most as usize));
    let stopped = shutdown.clone();
    loop {
        let (stream, peer, slot) = tokio::select! {
            accepted = next_connection(&listener, &slots) => accepted,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        let (routes, stopped, tls) = (Arc::clone(&routes), stopped.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None => converse(stream, peer, routes, limits, stopped).await,
                Some(tls) => {
                    if let Some(stream) = shake_hands(stream, &tls, limits, stopped.clone()).await {
                        converse(stream, peer, routes, limits, stopped).await;
                    }
                }
            }
            drop(slot);
        });
    }
    drop(listener);
    // Each connection bounds its own end, so all slots come back.
    let _all = slots.acquire_many(most).await;
}

/// Begins a TLS session; none with a client that cannot, or takes too long.
async fn shake_hands(
    stream: TcpStream,
    tls: &TlsAcceptor,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) -> Option<TlsStream<TcpStream>> {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(limits.header_timeout, tls.accept(stream)) => shaken.ok()?,
        _ = shutdown.wait_for(|stop| *stop) => return None,
    };
    // Scanners do this all day.
    shaken
        .inspect_err(|error| tracing::debug!(%error, "no TLS session"))
        .ok()
}

/// The next client, once there is a slot for it.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let mut failures = 0;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without it only latency is lost.
                let _ = stream.set_nodelay(true);
                return (stream, peer, slot);
            }
            // The client was gone before we looked; the next one may be well.
            Err(error) if is_the_clients(&error) => {}
            // Out of descriptors or memory: only time helps, and the clients wait in the backlog.
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "cannot accept connections");
                tokio::time::sleep(ACCEPT_BACKOFF.delay(failures)).await;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
