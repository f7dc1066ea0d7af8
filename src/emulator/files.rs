//! The files behind the addresses that the API tells: results of exports, what became of imports, media, masks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::sleep;
use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            IF_RANGE, RANGE,
        },
    },
    path::FullPath,
    reply::Response,
};

use super::{
    faults::{FaultKind, hold},
    labelbox::has_key,
    listener::{closed, refuse, response},
    shared::Shared,
    stored_file::StoredFile,
    world::World,
};

/// Between the last byte of a file that is cut and the end of its connection.
const BEFORE_A_CUT: Duration = Duration::from_millis(20);

/// `GET /files/…`, for whoever has a whole address, and `GET /masks/…`, for whoever has an API key.
pub(super) fn routes(shared: &Arc<Shared>) -> BoxedFilter<(Response,)> {
    let shared = Arc::clone(shared);
    let folder = warp::path("files").or(warp::path("masks")).unify();
    folder
        .and(warp::get())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::query::raw().or_else(|_| async { Ok::<_, warp::Rejection>((String::new(),)) }))
        .then(move |path: FullPath, headers: HeaderMap, query: String| {
            let shared = Arc::clone(&shared);
            async move { answer(&shared, path.as_str(), &headers, &query).await }
        })
        .boxed()
}

async fn answer(shared: &Shared, path: &str, headers: &HeaderMap, query: &str) -> Response {
    let now = Timestamp::now();
    let (is_mask, has_key) = (path.starts_with("/masks/"), has_key(headers, shared));
    let (fault, found) = shared.change(|world| {
        let fault = world.faults.take(&names(path));
        if fault == Some(FaultKind::AddressExpires) {
            world.signer.end(query);
        }
        let found = match is_mask {
            true if !has_key => Err(StatusCode::UNAUTHORIZED),
            false if !world.signer.allows(path, query, now) => Err(StatusCode::FORBIDDEN),
            _ => world.file(path).ok_or(StatusCode::NOT_FOUND),
        };
        world.count_file(path);
        (fault, found)
    });
    let give = || match &found {
        Ok(file) => serve(file, path, headers),
        Err(StatusCode::UNAUTHORIZED) => {
            refuse(StatusCode::UNAUTHORIZED, "this address asks for an API key")
        }
        Err(status) => refuse(*status, "the address is wrong, or does not hold any longer"),
    };
    match fault {
        None | Some(FaultKind::AddressExpires) => give(),
        Some(FaultKind::Delay { milliseconds } | FaultKind::AnswerLate { milliseconds }) => {
            sleep(hold(milliseconds)).await;
            give()
        }
        Some(FaultKind::TruncateBody { bytes }) => match &found {
            Ok(file) => truncated(file, path, bytes),
            Err(_) => give(),
        },
        Some(FaultKind::Status {
            status,
            body,
            headers,
        }) => response(status, body.as_ref(), &headers),
        Some(FaultKind::Hang { milliseconds }) => {
            sleep(hold(milliseconds)).await;
            closed()
        }
        Some(_) => closed(),
    }
}

/// What a fault may call this file: its path, its kind, its folder, or all of them.
fn names(path: &str) -> [&str; 4] {
    if path.starts_with("/masks/") {
        return [path, "/masks", "/masks", "/masks"];
    }
    let kind = match path.strip_prefix("/files/imports/") {
        Some(rest) if rest.ends_with("/errors") => "/files/imports/errors",
        Some(rest) if rest.ends_with("/statuses") => "/files/imports/statuses",
        _ => path,
    };
    let folder = path
        .match_indices('/')
        .nth(2)
        .map_or(path, |(end, _)| &path[..end]);
    [path, kind, folder, "/files"]
}

fn serve(file: &StoredFile, path: &str, headers: &HeaderMap) -> Response {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let (tag, length) = (file.tag(path), file.len());
    if header(IF_NONE_MATCH) == Some(&tag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        insert(&mut response, ETAG, &tag);
        return response;
    }
    let is_same = header(IF_RANGE).is_none_or(|wanted| wanted == tag);
    let range = header(RANGE).filter(|_| is_same);
    let from = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    if from.is_some_and(|from| from >= length) {
        let text = "there is nothing behind the end";
        return refuse(StatusCode::RANGE_NOT_SATISFIABLE, text);
    }
    let mut response = file.body(from.unwrap_or_default());
    if let Some(from) = from {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {from}-{}/{length}", length - 1);
        insert(&mut response, CONTENT_RANGE, &range);
    }
    let left = length - from.unwrap_or_default();
    insert(&mut response, CONTENT_LENGTH, &left.to_string());
    insert(&mut response, ETAG, &tag);
    insert(&mut response, ACCEPT_RANGES, "bytes");
    let kind = match path.ends_with(".png") {
        true => "image/png",
        false => "application/x-ndjson",
    };
    insert(&mut response, CONTENT_TYPE, kind);
    response
}

/// Less than was announced: the connection closes within the body.
fn truncated(file: &StoredFile, path: &str, bytes: usize) -> Response {
    let beginning = file.slice(0, bytes);
    let cut = async {
        // What was sent leaves the buffers only while the body has nothing to say.
        sleep(BEFORE_A_CUT).await;
        Err(std::io::Error::other("cut off on demand"))
    };
    let body = stream::iter([Ok(beginning)]).chain(stream::once(cut));
    let mut response = warp::reply::stream(body).into_response();
    insert(&mut response, CONTENT_LENGTH, &file.len().to_string());
    insert(&mut response, ETAG, &file.tag(path));
    response
}

fn insert(response: &mut Response, name: warp::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

impl World {
    fn file(&self, path: &str) -> Option<StoredFile> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let whole = match parts.as_slice() {
            ["files", "exports", task, range] => return self.exports.file(task, range),
            ["files", "imports", run, id, kind] => self.run(run)?.imports.file(id, kind),
            ["files", "media", name] | ["masks", name] => self.media(name),
            _ => None,
        };
        whole.map(StoredFile::Whole)
    }

    /// A file of ours by its whole address.
    pub(super) fn own_file(&self, url: &str, now: Timestamp) -> Option<Bytes> {
        let path = url.strip_prefix(self.signer.base())?;
        let (path, query) = path.split_once('?')?;
        let file = self
            .file(path)
            .filter(|_| self.signer.allows(path, query, now))?;
        Some(file.slice(0, usize::MAX))
    }
}
