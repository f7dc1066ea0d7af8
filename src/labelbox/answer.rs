//! What an HTTP answer of Labelbox means.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::StatusCode;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, value::RawValue};

use super::error::{Kind, LabelboxError};
use crate::config::Secret;

/// A longer `Retry-After` is not believed.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The beginning of the top-level `message` by which Labelbox tells of its rate limit
/// (labelbox 7.17.0: `lbox/request_client.py`).
const RATE_LIMIT_MESSAGE: &str = "You have exceeded";

/// Codes that outweigh the rate limit, weightiest first (labelbox 7.17.0: `lbox/request_client.py`).
const CODES_BEFORE_RATE_LIMIT: [&str; 4] = [
    "AUTHENTICATION_ERROR",
    "AUTHORIZATION_ERROR",
    "GRAPHQL_VALIDATION_FAILED",
    "GRAPHQL_PARSE_FAILED",
];

/// The other known codes, weightiest first; unknown ones come last.
const CODES_AFTER_RATE_LIMIT: [&str; 5] = [
    "RESOURCE_NOT_FOUND",
    "RESOURCE_CONFLICT",
    "MALFORMED_REQUEST",
    INTERNAL_ERROR,
    "OPERATION_NOT_ALLOWED",
];

/// Labelbox's word for its own faults, and for some of ours.
const INTERNAL_ERROR: &str = "INTERNAL_SERVER_ERROR";

/// A complete answer, before anything is made of it.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// What [`retry_after`] found.
    pub(super) retry_after: Option<Duration>,
    /// The body.
    pub(super) body: &'a [u8],
    /// The key the call was made with, to keep it out of messages.
    pub(super) key: &'a Secret,
}

/// One entry of `errors`.
#[derive(Debug, Default)]
struct Refusal {
    code: String,
    message: String,
    exception_status: Option<u64>,
}

/// A good answer as it almost always comes, whose values nobody has looked at yet.
#[derive(Deserialize)]
struct Good<'a> {
    #[serde(borrow)]
    data: BTreeMap<Cow<'a, str>, &'a RawValue>,
    #[serde(default)]
    errors: Option<IgnoredAny>,
    #[serde(default)]
    message: Option<IgnoredAny>,
}

impl Answer<'_> {
    /// The `field` of a good answer's `data`, read without a detour; none where anything is not as it should be, which
    /// [`Answer::data`] explains.
    pub(super) fn read<T: DeserializeOwned>(&self, field: &str) -> Option<T> {
        let good = self.status.is_success().then_some(self.body)?;
        let good: Good<'_> = serde_json::from_slice(good).ok()?;
        match (good.errors, good.message) {
            (None, None) => {
                let value = good.data.get(field)?.get();
                serde_json::from_str((value != "null").then_some(value)?).ok()
            }
            _ => None,
        }
    }

    /// The `data` of a good answer.
    ///
    /// # Errors
    /// When Labelbox refused, failed, or did not answer itself.
    pub(super) fn data(&self) -> Result<Value, LabelboxError> {
        let body = serde_json::from_slice::<Value>(self.body).ok();
        let judged = match body {
            // The body of a server fault is anybody's: only its rate limit is believed.
            body if self.status.is_server_error() => Err(self.server_fault(body.as_ref())),
            Some(body) => self.judge(body),
            None => Err(self.refused_by_status(Kind::Foreign, &String::from_utf8_lossy(self.body))),
        };
        judged.map_err(|error| LabelboxError {
            retry_after: self.retry_after,
            ..error
        })
    }

    fn judge(&self, mut body: Value) -> Result<Value, LabelboxError> {
        let refusal = weightiest(refusals(&body));
        let outweighed = refusal
            .as_ref()
            .is_some_and(|refusal| CODES_BEFORE_RATE_LIMIT.contains(&refusal.code.as_str()));
        if let Some(message) = rate_limit_message(&body).filter(|_| !outweighed) {
            return Err(self.error(Kind::RateLimited, message));
        }
        // These two mean the same whatever stands in the body.
        let by_status_alone = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
        match refusal {
            Some(refusal) if !by_status_alone.contains(&self.status) => Err(self.refused(&refusal)),
            Some(refusal) => Err(self.refused_by_status(Kind::Refused, &refusal.message)),
            None if !self.status.is_success() => {
                let message = body["message"].as_str().unwrap_or_default();
                Err(self.refused_by_status(Kind::Refused, message))
            }
            None => Ok(body.get_mut("data").map(Value::take).unwrap_or_default()),
        }
    }

    fn server_fault(&self, body: Option<&Value>) -> LabelboxError {
        if let Some(message) = body.and_then(rate_limit_message) {
            return self.error(Kind::RateLimited, message);
        }
        let text = String::from_utf8_lossy(self.body);
        self.error(Kind::Unavailable, &text).ambiguous()
    }

    fn refused(&self, refusal: &Refusal) -> LabelboxError {
        let kind = kind_of(refusal);
        let error = self.error(kind, &format!("{}: {}", refusal.code, refusal.message));
        // Of a code that nobody knows, nobody knows either what was done before it came.
        match kind {
            Kind::Unavailable => error.ambiguous(),
            Kind::Refused if !is_known(&refusal.code) => error.ambiguous(),
            _ => error,
        }
    }

    /// `bad_request` is what a status means that finds fault with the request: a page of a proxy
    /// saying so may be about anything, Labelbox's own JSON is about our call.
    fn refused_by_status(&self, bad_request: Kind, text: &str) -> LabelboxError {
        let kind = match self.status.as_u16() {
            401 => Kind::Authentication,
            403 => Kind::Authorization,
            413 => Kind::Refused,
            429 => Kind::RateLimited,
            400 | 422 => bad_request,
            _ => Kind::Foreign,
        };
        let error = self.error(kind, text);
        match self.status.is_redirection() || self.status.is_client_error() {
            true => error,
            false => error.ambiguous(),
        }
    }

    fn error(&self, kind: Kind, text: &str) -> LabelboxError {
        let what = match kind {
            Kind::RateLimited => "labelbox wants fewer calls",
            Kind::Unavailable => "labelbox has a fault",
            Kind::Authentication => "labelbox refuses the api key: check it or make a new one",
            Kind::Authorization => "the api key may not do this: give its owner the rights",
            Kind::NotFound => "labelbox knows no such thing",
            Kind::Foreign => "something other than labelbox answered: check endpoint and proxies",
            _ => "labelbox refuses the call",
        };
        let text = text.replace(self.key.expose(), "[redacted]");
        LabelboxError::new(
            kind,
            format!("{what} (HTTP {}): {text}", self.status.as_u16()),
        )
    }
}

/// The wait that a `Retry-After` asks for, in seconds or as an HTTP date; at most an hour.
pub(super) fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = rfc2822::DateTimeParser::new()
                .parse_timestamp(header)
                .ok()?;
            Duration::try_from(until.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_LIMIT))
}

fn kind_of(refusal: &Refusal) -> Kind {
    match (refusal.code.as_str(), refusal.exception_status) {
        ("AUTHENTICATION_ERROR", _) => Kind::Authentication,
        ("AUTHORIZATION_ERROR", _) => Kind::Authorization,
        ("RESOURCE_NOT_FOUND", _) => Kind::NotFound,
        (INTERNAL_ERROR, Some(400 | 422 | 426)) => Kind::Refused,
        (INTERNAL_ERROR, _) => Kind::Unavailable,
        _ => Kind::Refused,
    }
}

fn is_known(code: &str) -> bool {
    let mut known = CODES_BEFORE_RATE_LIMIT
        .iter()
        .chain(&CODES_AFTER_RATE_LIMIT);
    known.any(|known| *known == code)
}

fn weightiest(refusals: Vec<Refusal>) -> Option<Refusal> {
    refusals.into_iter().min_by_key(|refusal| {
        CODES_BEFORE_RATE_LIMIT
            .iter()
            .chain(&CODES_AFTER_RATE_LIMIT)
            .position(|code| *code == refusal.code)
            .unwrap_or(usize::MAX)
    })
}

fn refusals(body: &Value) -> Vec<Refusal> {
    match &body["errors"] {
        Value::Null => Vec::new(),
        Value::Array(errors) => errors.iter().map(refusal).collect(),
        other => vec![refusal(other)],
    }
}

fn refusal(error: &Value) -> Refusal {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let extensions = &error["extensions"];
    Refusal {
        code: text(&extensions["code"]).unwrap_or_else(|| "no code".to_owned()),
        message: text(&error["message"]).unwrap_or_else(|| error.to_string()),
        exception_status: extensions["exception"]["status"].as_u64(),
    }
}

fn rate_limit_message(body: &Value) -> Option<&str> {
    body["message"]
        .as_str()
        .filter(|message| message.starts_with(RATE_LIMIT_MESSAGE))
}
