//! One call to Labelbox: the key read anew, the answer bounded, every fault named.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    multipart::Form,
};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{
    answer::Answer,
    budget::Budget,
    call::{Api, Call},
    error::{Kind, LabelboxError, causes},
    wire::{Answered, send, send_recorded},
};
use crate::{
    config::{Secret, SecretRef},
    meters::{Counters, Durations},
    outbound,
    recording::Recorder,
};

/// How we name ourselves where the SDK names itself.
const USER_AGENT: &str = concat!("trainhook/", env!("CARGO_PKG_VERSION"));

/// Calls of bulk, thousands one after the other, read the key no sooner than this after the last time.
const KEY_HOLDS: Duration = Duration::from_secs(1);

/// Calls a minute where nobody says how many.
const REQUESTS_PER_MINUTE: u32 = 1200;

/// A client of one workspace's Labelbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Labelbox {
    inner: Arc<Inner>,
    meters: Arc<LabelboxMeters>,
    recorder: Option<Recorder>,
    budget: Arc<Budget>,
    in_bulk: bool,
}

#[derive(Debug)]
struct Inner {
    graphql: String,
    experimental: String,
    api_key: SecretRef,
    timeout: Duration,
    http: OnceLock<reqwest::Client>,
    /// The key as it was last read, and when.
    last_key: Mutex<Option<(Instant, Secret)>>,
}

/// What has become of the calls to one workspace's Labelbox.
#[derive(Debug, Default)]
pub struct LabelboxMeters {
    /// The call, by its field in the answer, and its outcome: `ok`, or the error's kind.
    pub calls: Counters<(&'static str, &'static str)>,
    /// How long calls took that were answered in any way.
    pub durations: Durations,
}

impl Labelbox {
    /// A client for `endpoint`, such as `https://api.labelbox.com/graphql`. One call may take `timeout`.
    ///
    /// The key is read at each call, so that a new one is seen without a restart; calls of bulk read it once a second.
    #[must_use]
    pub fn new(endpoint: &str, api_key: SecretRef, timeout: Duration) -> Self {
        let graphql = endpoint.trim_end_matches('/').to_owned();
        let experimental = match graphql.strip_suffix("/graphql") {
            Some(base) => format!("{base}/_gql"),
            None => graphql.clone(),
        };
        Self {
            inner: Arc::new(Inner {
                graphql,
                experimental,
                api_key,
                timeout,
                http: OnceLock::new(),
                last_key: Mutex::default(),
            }),
            meters: Arc::default(),
            recorder: None,
            budget: Arc::new(Budget::new(REQUESTS_PER_MINUTE)),
            in_bulk: false,
        }
    }

    /// The same client with so many calls a minute. What `earlier`, a client of the same workspace, has used of them
    /// is used.
    #[must_use]
    pub fn limited_to(self, requests_per_minute: u32, earlier: Option<&Self>) -> Self {
        let shared = earlier
            .map(|earlier| &earlier.budget)
            .filter(|budget| budget.per_minute() == requests_per_minute);
        let budget = match shared {
            Some(budget) => Arc::clone(budget),
            None => Arc::new(Budget::new(requests_per_minute)),
        };
        Self { budget, ..self }
    }

    /// The same client for calls that are many and may wait: they leave a reserve to the others, and keep still for
    /// as long as Labelbox wants fewer calls of this workspace.
    #[must_use]
    pub fn in_bulk(&self) -> Self {
        Self {
            in_bulk: true,
            ..self.clone()
        }
    }

    /// The same client; its exchanges are kept, without the key.
    #[must_use]
    pub fn recorded_by(self, recorder: Recorder) -> Self {
        let recorder = Some(recorder);
        Self { recorder, ..self }
    }

    /// The same client; what becomes of its calls is counted on top of what became of those of `earlier`.
    #[must_use]
    pub fn counting_on_from(self, earlier: &Self) -> Self {
        let meters = Arc::clone(&earlier.meters);
        Self { meters, ..self }
    }

    /// What has become of its calls.
    #[must_use]
    pub fn meters(&self) -> &LabelboxMeters {
        &self.meters
    }

    /// Where its API is: the address's host is Labelbox's own.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.inner.graphql
    }

    /// Where its key is kept.
    #[must_use]
    pub fn api_key(&self) -> &SecretRef {
        &self.inner.api_key
    }

    /// A number that changes when the key does; none while the key cannot be read.
    ///
    /// It reads a file, so it may block. It is not for printing.
    #[must_use]
    pub fn key_fingerprint(&self) -> Option<u64> {
        let key = self.inner.api_key.read().ok()?;
        let digest = Sha256::digest(key.expose().as_bytes());
        digest.first_chunk().map(|first| u64::from_be_bytes(*first))
    }

    /// Sends `call` once and gives its field of the answer; none if that is null.
    ///
    /// # Errors
    /// Whatever keeps a good answer away; see [`Kind`].
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<Option<T>, LabelboxError> {
        self.metered(call, self.try_call(call, None)).await
    }

    /// As [`Labelbox::call`], for what is never null.
    ///
    /// # Errors
    /// As [`Labelbox::call`], and when it is null all the same.
    pub(super) async fn call_for<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<T, LabelboxError> {
        let null = || LabelboxError::unexpected(format!("{} is null", call.field));
        self.call(call).await?.ok_or_else(null)
    }

    /// As [`Labelbox::call`]; also none if Labelbox says that there is no such thing.
    ///
    /// # Errors
    /// As [`Labelbox::call`].
    pub(super) async fn call_if_there<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<Option<T>, LabelboxError> {
        match self.call(call).await {
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            answer => answer,
        }
    }

    /// As [`Labelbox::call`], with a form that holds the call and a file; it may take this much longer.
    ///
    /// # Errors
    /// As [`Labelbox::call`].
    pub(super) async fn call_with_form<T: DeserializeOwned>(
        &self,
        call: &Call,
        form: Form,
        more: Duration,
    ) -> Result<Option<T>, LabelboxError> {
        self.metered(call, self.try_call(call, Some((form, more))))
            .await
    }

    async fn metered<T>(
        &self,
        call: &Call,
        exchange: impl Future<Output = Result<T, LabelboxError>>,
    ) -> Result<T, LabelboxError> {
        match self.in_bulk {
            true => self.budget.wait_for_turn().await,
            false => self.budget.take(),
        }
        let begun = Instant::now();
        let answer = exchange.await;
        if let Err(error) = &answer
            && error.kind == Kind::RateLimited
        {
            self.budget.pause(error.retry_after);
        }
        let meters = &self.meters;
        meters.durations.add(begun.elapsed());
        let outcome = answer
            .as_ref()
            .map_or_else(|error| error.kind.as_str(), |_| "ok");
        meters.calls.add((call.field, outcome));
        answer
    }

    async fn try_call<T: DeserializeOwned>(
        &self,
        call: &Call,
        form: Option<(Form, Duration)>,
    ) -> Result<Option<T>, LabelboxError> {
        let (http, key) = self.prepare().await?;
        let request = self.request(&http, &key, call, form)?;
        let answered = self.exchange(&http, &key, request).await?;
        let answer = Answer {
            status: answered.status,
            retry_after: answered.retry_after(),
            body: &answered.body,
            key: &key,
        };
        if let Some(read) = answer.read(call.field) {
            return Ok(Some(read));
        }
        let mut data = answer.data()?;
        let Some(field) = data.get_mut(call.field) else {
            let what = format!("it lacks {}", call.field);
            return Err(LabelboxError::unexpected(what));
        };
        serde_json::from_value(field.take()).map_err(|_| {
            LabelboxError::unexpected(format!("{} has another shape than known", call.field))
        })
    }

    /// Reading the key and the machine's certificates touches files, which may hang.
    async fn prepare(&self) -> Result<(reqwest::Client, Secret), LabelboxError> {
        let inner = Arc::clone(&self.inner);
        if self.in_bulk
            && let Some(prepared) = inner.just_prepared()
        {
            return Ok(prepared);
        }
        let work = tokio::task::spawn_blocking(move || Ok((inner.http()?, inner.key()?)));
        match tokio::time::timeout(self.inner.timeout, work).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(_)) | Err(_) => Err(LabelboxError::new(
                Kind::KeyUnreadable,
                format!(
                    "cannot read the api key from {} in time",
                    self.inner.api_key
                ),
            )),
        }
    }

    async fn exchange(
        &self,
        http: &reqwest::Client,
        key: &Secret,
        request: reqwest::Request,
    ) -> Result<Answered, LabelboxError> {
        match &self.recorder {
            Some(recorder) => send_recorded(http, request, recorder, key).await,
            None => send(http, request).await,
        }
    }

    fn request(
        &self,
        http: &reqwest::Client,
        key: &Secret,
        call: &Call,
        form: Option<(Form, Duration)>,
    ) -> Result<reqwest::Request, LabelboxError> {
        let address = match call.api {
            Api::Graphql => &self.inner.graphql,
            Api::Experimental => &self.inner.experimental,
        };
        let request = http
            .post(address)
            .header(AUTHORIZATION, self.inner.bearer(key)?)
            .header(ACCEPT, "application/json")
            .header("x-user-agent", USER_AGENT);
        let timeout = self.inner.timeout;
        let request = match form {
            Some((form, more)) => request.timeout(timeout + more).multipart(form),
            None => request
                .timeout(timeout)
                .header(CONTENT_TYPE, "application/json")
                .body(call.body()),
        };
        request.build().map_err(LabelboxError::transport)
    }
}

impl Inner {
    /// Made at the first call, and again at the next one if that failed, so that certificates
    /// installed later are found.
    fn http(&self) -> Result<reqwest::Client, LabelboxError> {
        if let Some(http) = self.http.get() {
            return Ok(http.clone());
        }
        let http = outbound::client_builder().build().map_err(|error| {
            let message = format!(
                "cannot make https connections, are ca-certificates installed? {}",
                causes(&error)
            );
            LabelboxError::new(Kind::Setup, message)
        })?;
        Ok(self.http.get_or_init(|| http).clone())
    }

    fn key(&self) -> Result<Secret, LabelboxError> {
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
    fn just_prepared(&self) -> Option<(reqwest::Client, Secret)> {
        let last = self.last_key();
        let (read_at, key) = last.as_ref()?;
        let http = self.http.get()?;
        (read_at.elapsed() < KEY_HOLDS).then(|| (http.clone(), key.clone()))
    }

    fn bearer(&self, key: &Secret) -> Result<HeaderValue, LabelboxError> {
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
