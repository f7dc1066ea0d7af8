//! Who may ask. Every user and every training command of this machine reaches loopback, and so does
//! every web page that a person here looks at: hence a token, and no foreign Host or Origin.

use std::net::IpAddr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use warp::http::{
    HeaderMap,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, ORIGIN},
};

use crate::{config::Secret, http::error::ApiError};

/// Set by the command line on whatever changes something; no web page can without being asked first.
const MARK: &str = "x-trainhook";

/// The token that every `/api` request must bear.
#[derive(Debug)]
pub struct AdminToken {
    token: Secret,
}

impl AdminToken {
    /// Takes the token.
    #[must_use]
    pub fn new(token: Secret) -> Self {
        Self { token }
    }

    /// Compares in constant time, whatever was sent.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let sent = text(headers, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let digest = |token: &str| Sha256::digest(token.trim().as_bytes());
        let same = digest(sent.unwrap_or_default()).ct_eq(&digest(self.token.expose()));
        if bool::from(same) {
            Ok(())
        } else {
            Err(ApiError::Unauthorized)
        }
    }
}

/// Refuses names that lead here from elsewhere, and pages of other sites.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(host) = text(headers, &HOST).filter(|host| is_here(host)) else {
        return Err(ApiError::Forbidden(
            "the Host header names another machine: use localhost or 127.0.0.1",
        ));
    };
    let own = |origin: &str| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority == host)
    };
    if headers.contains_key(ORIGIN) && !text(headers, &ORIGIN).is_some_and(own) {
        return Err(ApiError::Forbidden(
            "the request comes from a page of another site",
        ));
    }
    Ok(())
}

/// What changes something must say that it means to.
pub(super) fn check_mutation(headers: &HeaderMap) -> Result<(), ApiError> {
    let json = |value: &str| {
        value
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim() == "application/json")
    };
    if !text(headers, &CONTENT_TYPE).is_some_and(json) {
        return Err(ApiError::NotJson);
    }
    if text(headers, &HeaderName::from_static(MARK)) != Some("1") {
        return Err(ApiError::Forbidden(
            "send the header X-Trainhook: 1 with whatever changes something",
        ));
    }
    Ok(())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
