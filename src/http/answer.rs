//! Answers in JSON.

use bytes::Bytes;
use serde::Serialize;
use warp::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, HeaderName},
    },
    reply::Response,
};

/// An answer whose text was built before.
pub(super) fn prebuilt(status: StatusCode, json: Bytes) -> Response {
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `value` as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_vec(value).expect("answers hold nothing that JSON cannot say");
    prebuilt(status, text.into())
}

/// The answer with one more header.
pub(super) fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    let value = HeaderValue::from_str(value).expect("our own header values are plain ASCII");
    response.headers_mut().insert(name, value);
    response
}
