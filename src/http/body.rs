//! Reads a request's body: bounded in size and in time.

use std::{pin::pin, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use warp::http::{
    HeaderMap,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// How much of a body is taken, and how long its sender may need.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The longest body, in bytes.
    pub size: u64,
    /// A body must be complete within this.
    pub time: Duration,
}

/// A body that could not be read whole; what is left of it is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The longest that is taken, in bytes.
        limit: u64,
    },
    /// It did not arrive in time.
    #[error("the body was not complete within {} ms", limit.as_millis())]
    TooSlow {
        /// How long was waited.
        limit: Duration,
    },
    /// It ended early or its chunks are malformed.
    #[error("the body ended early or its chunks are malformed")]
    Broken,
}

impl BodyLimits {
    /// Refuses a body whose announced length is over the limit, before anything of it is read.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`].
    pub fn check_announced(self, headers: &HeaderMap) -> Result<(), BodyError> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| {
            let text = value.to_str().ok()?;
            text.parse::<u64>().ok()
        });
        match announced {
            Some(length) if length > self.size => Err(BodyError::TooLarge { limit: self.size }),
            _ => Ok(()),
        }
    }

    /// Reads the body that belongs to `headers`; a chunked one counts as it comes.
    ///
    /// # Errors
    /// [`BodyError`], as soon as it is sure; the rest of the body is then left unread.
    pub async fn read<S, B>(self, headers: &HeaderMap, stream: S) -> Result<Bytes, BodyError>
    where
        S: Stream<Item = Result<B, warp::Error>> + Send,
        B: Buf + Send,
    {
        // By RFC 9112 a request without both headers has no body.
        if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
            return Ok(Bytes::new());
        }
        self.check_announced(headers)?;
        tokio::time::timeout(self.time, collect(stream, self.size))
            .await
            .unwrap_or(Err(BodyError::TooSlow { limit: self.time }))
    }
}

async fn collect<S, B>(stream: S, limit: u64) -> Result<Bytes, BodyError>
where
    S: Stream<Item = Result<B, warp::Error>> + Send,
    B: Buf + Send,
{
    let mut stream = pin!(stream);
    let mut whole = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| BodyError::Broken)?;
        if (whole.len() + piece.remaining()) as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        bytes::BufMut::put(&mut whole, piece);
    }
    Ok(whole.freeze())
}
