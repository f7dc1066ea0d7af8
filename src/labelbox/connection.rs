//! The way to one workspace's Labelbox: its addresses, the key as it is now, and the client for https.

use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use reqwest::header::HeaderValue;

use super::error::{Kind, LabelboxError};
use crate::{
    config::{Secret, SecretRef},
    outbound,
};

/// Calls of bulk, thousands one after the other, read the key no sooner than this after the last time.
const KEY_HOLDS: Duration = Duration::from_secs(1);

/// Where Labelbox is, and what it takes to speak to it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) graphql: String,
    pub(super) experimental: String,
    pub(super) api_key: SecretRef,
    pub(super) timeout: Duration,
    http: OnceLock<reqwest::Client>,
    /// The key as it was last read, and when.
    last_key: Mutex<Option<(Instant, Secret)>>,
}

impl Connection {
    /// To the API at `endpoint`; nothing is read or made yet.
    pub(super) fn new(endpoint: &str, api_key: SecretRef, timeout: Duration) -> Self {
        let graphql = endpoint.trim_end_matches('/').to_owned();
        let experimental = match graphql.strip_suffix("/graphql") {
            Some(base) => format!("{base}/_gql"),
            None => graphql.clone(),
        };
        Self {
            graphql,
            experimental,
            api_key,
            timeout,
            http: OnceLock::new(),
            last_key: Mutex::default(),
        }
    }

    /// Made at the first call, and again at the next one if that failed, so that certificates
    /// installed later are found.
    pub(super) fn http(&self) -> Result<reqwest::Client, LabelboxError> {
        if let Some(http) = self.http.get() {
            return Ok(http.clone());
        }
        let http = outbound::client_builder().build().map_err(|error| {
            let message = format!(
                "cannot make https connections, are ca-certificates installed? {}",
                outbound::causes(&error)
            );
            LabelboxError::new(Kind::Setup, message)
        })?;
        Ok(self.http.get_or_init(|| http).clone())
    }

    pub(super) fn key(&self) -> Result<Secret, LabelboxError> {
        let key = self.api_key.read().map_err(|error| {
            let message = format!("cannot use the api key: {error}");
            LabelboxError::new(Kind::KeyUnreadable, message)
        })?;
        *self.last_key() = Some((Instant::now(), key.clone()));
        Ok(key)
    }

    fn last_key(&self) -> MutexGuard<'_, Option<(Instant, Secret)>> {
        self.last_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was made and read a moment ago.
    pub(super) fn just_prepared(&self) -> Option<(reqwest::Client, Secret)> {
        let last = self.last_key();
        let (read_at, key) = last.as_ref()?;
        let http = self.http.get()?;
        (read_at.elapsed() < KEY_HOLDS).then(|| (http.clone(), key.clone()))
    }

    pub(super) fn bearer(&self, key: &Secret) -> Result<HeaderValue, LabelboxError> {
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", key.expose())).map_err(|_| {
                let message = format!(
                    "the api key in {} holds characters that cannot be sent",
                    self.api_key
                );
                LabelboxError::new(Kind::KeyUnreadable, message)
            })?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }
}
