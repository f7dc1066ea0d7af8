//! One connection's life: its requests answered one after the other, its end bounded.

use std::{
    convert::Infallible,
    error::Error,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};

use super::{
    listener::{Limits, Peer},
    socket::Socket,
};

/// More headers than this are refused with 431.
const MAX_HEADERS: usize = 64;
/// A request's head must fit into this many bytes, else 431.
const MAX_HEAD: usize = 16 * 1024;
/// Once we stop, a request whose head is not there after this is given up.
const HALF_SENT_PATIENCE: Duration = Duration::from_millis(500);

/// Answers the requests of one client with `routes` until it leaves, idles too long, or `shutdown` says so.
pub(super) async fn converse<T, S, B>(
    stream: T,
    peer: SocketAddr,
    routes: Arc<S>,
    limits: Limits,
    mut shutdown: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Each request under way holds a weak reference, from its head to the last byte of its answer.
    let under_way = Arc::new(());
    let guards = Arc::clone(&under_way);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let (answer, guard) = (routes.call(request), Arc::downgrade(&guards));
        Box::pin(async move {
            let response = answer.await?;
            Ok::<_, Infallible>(response.map(|body| UnderWay { body, guard }))
        })
    });
    let socket = TokioIo::new(Socket::new(
        stream,
        limits.header_timeout,
        Arc::clone(&under_way),
    ));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(socket, service);

    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => Some(ended),
        _ = shutdown.wait_for(|stop| *stop) => None,
    };
    if ended.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        let mut ending = poll_fn(|context| connection.poll_without_shutdown(context));
        let half_sent = HALF_SENT_PATIENCE.min(limits.drain);
        if timeout(half_sent, &mut ending).await.is_err() && Arc::weak_count(&under_way) > 0 {
            // A request that outlives the drain is cut off: its sender sees a closed connection.
            let _ = timeout(limits.drain.saturating_sub(half_sent), ending).await;
        }
    }
    connection.into_parts().io.into_inner().close().await;
}

/// A body on its way out; while it lives, its request counts as under way.
struct UnderWay<B> {
    body: B,
    #[expect(dead_code, reason = "its life is what counts")]
    guard: Weak<()>,
}

impl<B: Body + Unpin> Body for UnderWay<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
