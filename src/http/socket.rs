//! A stream that gives a client up which takes nothing of its answer.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Sleep,
};

/// What a client still sends after its last answer is read away for at most this long…
const LINGER_TIME: Duration = Duration::from_secs(1);
/// …and up to this many bytes.
const LINGER_BYTES: u64 = 1024 * 1024;

/// A client's stream; a write that makes no progress for `patience` is an error.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    patience: Duration,
    under_way: Arc<()>,
    stall: Option<Stall>,
}

/// A write that waits for the client; an answer that is not out yet counts as under way.
#[derive(Debug)]
struct Stall {
    limit: Pin<Box<Sleep>>,
    #[expect(dead_code, reason = "its life is what counts")]
    guard: Weak<()>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Wraps `stream`; while a write waits, a weak reference to `under_way` lives.
    pub(super) fn new(stream: S, patience: Duration, under_way: Arc<()>) -> Self {
        Self {
            stream,
            patience,
            under_way,
            stall: None,
        }
    }

    /// Closes the stream so that the client can still read its last answer.
    ///
    /// A stream closed with unread input is reset by the kernel, and a reset may overtake the answer.
    pub(super) async fn close(mut self) {
        let farewell = async {
            self.stream.shutdown().await?;
            let mut rest = self.stream.take(LINGER_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Whatever goes wrong here, the stream is closed by its drop.
        let _ = tokio::time::timeout(LINGER_TIME, farewell).await;
    }

    /// Notes how a write went: progress ends the stall, none for too long ends the connection.
    fn poll_progress<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Stall {
            limit: Box::pin(tokio::time::sleep(self.patience)),
            guard: Arc::downgrade(&self.under_way),
        });
        ready!(stall.limit.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.poll_progress(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.poll_progress(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
