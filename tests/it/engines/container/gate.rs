//! A socket before the engine's own, at which the answer to one request can be held back.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf},
    sync::watch,
};

/// What is held.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    engine: PathBuf,
    /// Requests that contain this are passed on, and never answered.
    held: Arc<Mutex<Option<&'static str>>>,
    met: watch::Sender<bool>,
}

impl Gate {
    /// Opens the socket before the engine's.
    pub(super) fn open(socket: &Path, engine: &Path, held: &'static str) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let gate = Self {
            engine: engine.to_owned(),
            held: Arc::new(Mutex::new(Some(held))),
            met: watch::channel(false).0,
        };
        let serving = gate.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serving.clone().carry(client));
            }
        });
        gate
    }

    /// Waits until the engine has been asked.
    pub(super) async fn met(&self) {
        let mut met = self.met.subscribe();
        let met = met.wait_for(|met| *met);
        let met = tokio::time::timeout(crate::support::stack::LIMIT, met).await;
        assert!(met.is_ok(), "waited too long for the request");
    }

    /// From now on nothing is held.
    pub(super) fn release(&self) {
        *self.held.lock().expect("a lock") = None;
    }

    async fn carry(self, client: UnixStream) {
        let Ok(engine) = UnixStream::connect(&self.engine).await else {
            return;
        };
        let (from_client, to_client) = client.into_split();
        let (from_engine, to_engine) = engine.into_split();
        let (holds, held) = watch::channel(false);
        tokio::select! {
            () = self.ask(from_client, to_engine, holds) => {}
            () = answer(from_engine, to_client, held) => {}
        }
    }

    async fn ask(
        self,
        mut from: OwnedReadHalf,
        mut to: impl AsyncWrite + Unpin,
        holds: watch::Sender<bool>,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..read]);
            let held = *self.held.lock().expect("a lock");
            let is_held = held.is_some_and(|held| text.contains(held));
            holds.send_if_modified(|holds| is_held && !std::mem::replace(holds, true));
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            if is_held {
                self.met.send_replace(true);
            }
        }
    }
}

async fn answer(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    held: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if *held.borrow() {
            // The client waits until it is killed, or gives up.
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
