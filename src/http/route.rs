//! What the listeners for people and for supervisors share: one warp filter that hands each request over whole.

use std::{convert::Infallible, sync::Arc};

use bytes::Buf;
use futures_util::Stream;
use warp::{
    Filter,
    filters::path::FullPath,
    http::{HeaderMap, Method},
    reply::Response,
};

use super::{
    body::BodyLimits,
    error::{ApiError, answer_rejection},
};

/// What of a request a responder looks at, beside its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

impl Request<'_> {
    /// Refuses every other method.
    pub(super) fn only(&self, method: &Method, allow: &'static str) -> Result<(), ApiError> {
        if self.method == method {
            Ok(())
        } else {
            Err(ApiError::MethodNotAllowed { allow })
        }
    }
}

/// Whoever answers requests. The body is a stream, so that nothing of it is read for those who may not ask.
pub(super) trait Responder: Send + Sync + 'static {
    fn answer<S, B>(
        &self,
        request: Request<'_>,
        body: S,
        limits: BodyLimits,
    ) -> impl Future<Output = Result<Response, ApiError>> + Send
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send;
}

/// One filter for all paths: a tree of them would turn each miss into a rejection and cost more than the answer.
pub(super) fn route<T: Responder>(
    responder: T,
    limits: BodyLimits,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let responder = Arc::new(responder);
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            move |method: Method, path: FullPath, query: String, headers: HeaderMap, body| {
                let responder = Arc::clone(&responder);
                async move {
                    let request = Request {
                        method: &method,
                        path: path.as_str(),
                        query: &query,
                        headers: &headers,
                    };
                    responder
                        .answer(request, body, limits)
                        .await
                        .unwrap_or_else(ApiError::into_response)
                }
            },
        )
        .recover(answer_rejection)
        .unify()
}
