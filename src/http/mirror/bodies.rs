//! Files on their way out, whole or from a certain byte on.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use bytes::Bytes;
use futures_util::stream;
use warp::{
    Reply,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE},
    },
    reply::Response,
};

use super::{guard::blocking, manifest::is_given};
use crate::{
    http::{answer, error::ApiError},
    job_dir::{JobDir, files},
};

/// Bytes read from a file at once.
const PIECE: u64 = 256 * 1024;

/// A file of the job's own, from its folder.
pub(super) async fn give_file(
    job_dir: &JobDir,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    match is_given(Path::new(path)) {
        true => give_from(job_dir.path(), path, headers).await,
        false => Err(ApiError::NoSuch("file")),
    }
}

/// The file `name` of a folder; from where the request's range begins.
pub(super) async fn give_from(
    folder: &Path,
    name: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let (folder, name, from) = (folder.to_owned(), name.to_owned(), range_start(headers));
    let opened = blocking(move || {
        let Some(mut file) = files::open_untrusted(&folder, &name)? else {
            return Ok(None);
        };
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.unwrap_or(0)))?;
        Ok(Some((file, size)))
    });
    let (file, size) = opened.await?.ok_or(ApiError::NoSuch("file"))?;
    let begin = from.unwrap_or(0);
    if begin > size || (from.is_some() && begin == size) {
        return Err(ApiError::BehindTheEnd { size });
    }
    let body = warp::reply::stream(stream::try_unfold((file, size - begin), next_piece));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CONTENT_LENGTH, (size - begin).into());
    if from.is_none() {
        return Ok(response);
    }
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let range = format!("bytes {begin}-{}/{size}", size - 1);
    Ok(answer::with_header(response, CONTENT_RANGE, &range))
}

/// The next piece of what was announced; a file that has become shorter ends the connection.
async fn next_piece((file, left): (File, u64)) -> io::Result<Option<(Bytes, (File, u64))>> {
    if left == 0 {
        return Ok(None);
    }
    let read = tokio::task::spawn_blocking(move || {
        let mut piece = Vec::new();
        let mut part = file.take(left.min(PIECE));
        part.read_to_end(&mut piece)?;
        Ok::<_, io::Error>((piece, part.into_inner()))
    });
    let (piece, file) = read.await.map_err(io::Error::other)??;
    if piece.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let left = left - piece.len() as u64;
    Ok(Some((piece.into(), (file, left))))
}

/// `bytes=N-`; other ranges are not taken for any.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}
