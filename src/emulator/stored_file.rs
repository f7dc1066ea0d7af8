//! A file behind an address: bytes that are there, or a piece of an export, which is made while it is sent.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use sha1::{Digest, Sha1};
use warp::{Reply, reply::Response};

use super::dataset::Content;

/// Bytes of an export that are made at once.
const CHUNK: usize = 256 << 10;

#[derive(Debug)]
pub(super) enum StoredFile {
    Whole(Bytes),
    Piece {
        content: Arc<Content>,
        start: usize,
        end: usize,
    },
}

impl StoredFile {
    /// A piece of `content`, as far as there is any.
    pub(super) fn piece(content: &Arc<Content>, start: usize, end: usize) -> Self {
        let end = end.min(content.len());
        Self::Piece {
            content: Arc::clone(content),
            start: start.min(end),
            end,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Piece { start, end, .. } => end - start,
        }
    }

    /// The bytes from `from` to before `to`, as far as there are any.
    pub(super) fn slice(&self, from: usize, to: usize) -> Bytes {
        let to = to.min(self.len());
        let from = from.min(to);
        match self {
            Self::Whole(bytes) => bytes.slice(from..to),
            Self::Piece { content, start, .. } => content.slice(start + from, start + to),
        }
    }

    /// All from there on, as the body of an answer.
    pub(super) fn body(&self, from: usize) -> Response {
        let Self::Piece {
            content,
            start,
            end,
        } = self
        else {
            return Response::new(self.slice(from, usize::MAX).into());
        };
        let (content, end) = (Arc::clone(content), *end);
        let chunks = (start + from..end).step_by(CHUNK);
        let chunks =
            chunks.map(move |at| Ok::<_, std::io::Error>(content.slice(at, end.min(at + CHUNK))));
        warp::reply::stream(stream::iter(chunks)).into_response()
    }

    /// What tells it from another one. A piece of an export is the only one that its address ever had.
    pub(super) fn tag(&self, path: &str) -> String {
        let digest = match self {
            Self::Whole(bytes) => Sha1::digest(bytes),
            Self::Piece { .. } => Sha1::digest(path),
        };
        let digits: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("\"{digits}\"")
    }
}
