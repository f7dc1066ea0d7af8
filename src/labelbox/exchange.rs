//! One call to Labelbox: the key read anew, the answer bounded, every fault named.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
    multipart::Form,
};
use serde::de::DeserializeOwned;

use super::{
    answer::Answer,
    call::{Api, Call},
    client::Labelbox,
    error::{Kind, LabelboxError},
    wire::{Answered, send, send_recorded},
};
use crate::config::Secret;

/// How we name ourselves where the SDK names itself.
const USER_AGENT: &str = concat!("trainhook/", env!("CARGO_PKG_VERSION"));

impl Labelbox {
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
        let connection = Arc::clone(&self.connection);
        if self.in_bulk
            && let Some(prepared) = connection.just_prepared()
        {
            return Ok(prepared);
        }
        let work = tokio::task::spawn_blocking(move || Ok((connection.http()?, connection.key()?)));
        match tokio::time::timeout(self.connection.timeout, work).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(_)) | Err(_) => Err(LabelboxError::new(
                Kind::KeyUnreadable,
                format!(
                    "cannot read the api key from {} in time",
                    self.connection.api_key
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
            Api::Graphql => &self.connection.graphql,
            Api::Experimental => &self.connection.experimental,
        };
        let request = http
            .post(address)
            .header(AUTHORIZATION, self.connection.bearer(key)?)
            .header(ACCEPT, "application/json")
            .header("x-user-agent", USER_AGENT);
        let timeout = self.connection.timeout;
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
