//! Between supervisors and the server: an address that stays while servers come and go, and a wire that can be cut.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What the wire does at the moment.
#[derive(Debug, Clone, Default)]
struct Wire {
    /// Where connections lead; nowhere when none.
    target: Option<SocketAddr>,
    /// A connection ends after so many bytes of answers.
    cut_answers_after: Option<usize>,
    /// A connection ends after so many bytes of requests.
    cut_requests_after: Option<usize>,
    cuts: usize,
    /// Ends the connections that lead elsewhere.
    turned: watch::Sender<()>,
}

/// The wire.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    wire: Arc<Mutex<Wire>>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("an address");
        let wire = Arc::<Mutex<Wire>>::default();
        let proxy = Self { address, wire };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serving.clone().carry(client));
            }
        });
        proxy
    }

    pub(crate) fn lead_to(&self, target: Option<SocketAddr>) {
        self.change(|wire| {
            wire.target = target;
            wire.turned.send_replace(());
        });
    }

    pub(crate) fn cut_answers_after(&self, bytes: Option<usize>) {
        self.change(|wire| wire.cut_answers_after = bytes);
    }

    pub(crate) fn cut_requests_after(&self, bytes: Option<usize>) {
        self.change(|wire| wire.cut_requests_after = bytes);
    }

    /// Connections that were cut so far.
    pub(crate) fn cuts(&self) -> usize {
        self.change(|wire| wire.cuts)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Wire) -> T) -> T {
        change(&mut self.wire.lock().expect("a lock"))
    }

    async fn carry(self, client: TcpStream) {
        let (wire, mut turned) = self.change(|wire| (wire.clone(), wire.turned.subscribe()));
        let Some(target) = wire.target else { return };
        let Ok(server) = TcpStream::connect(target).await else {
            return;
        };
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        let was_cut = tokio::select! {
            cut = pass(from_client, to_server, wire.cut_requests_after) => cut,
            cut = pass(from_server, to_client, wire.cut_answers_after) => cut,
            _ = turned.changed() => false,
        };
        if was_cut {
            self.change(|wire| wire.cuts += 1);
        }
    }
}

/// Passes bytes on until the end, or until so many have passed; answers whether it was cut.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    most: Option<usize>,
) -> bool {
    let (mut buffer, mut passed) = (vec![0; 16 * 1024], 0);
    loop {
        let room = most.map_or(buffer.len(), |most| (most - passed).min(buffer.len()));
        if room == 0 {
            return true;
        }
        let read = from.read(&mut buffer[..room]).await.unwrap_or(0);
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return false;
        }
        passed += read;
    }
}
