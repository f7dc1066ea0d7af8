//! The control surface, for tests in any language: `/control/…`, from this machine only.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use warp::{
    Filter, Reply,
    filters::BoxedFilter,
    http::{HeaderMap, Method, StatusCode, Uri},
    path::FullPath,
    reply::Response,
};

use super::{
    Click, ClickError, Dataset,
    click::CallError,
    faultable,
    faults::Fault,
    listener::{json_response, refuse},
    shared::Shared,
    world::World,
};
use crate::config::Secret;

const WELCOME: &str = "\
This is an emulator of Labelbox's side of model training. Nothing here is Labelbox.

POST /graphql, /_gql            the GraphQL API; any API key unless one was set
POST /control/model-runs        {\"modelId\"?, \"name\"?, \"config\"?, \"dataset\"?}: a new model run; dataset \"digits\", \"shapes\", \"entities\";
                                without one it has what the emulator was started with, if that was anything
GET  /control/model-runs/{id}   what was reported to it, its time-line, and what was imported into it
DELETE /control/model-runs/{id} makes it unknown
POST /control/click             {\"url\", \"secret\", \"modelRunId\", \"modelType\"?}: clicks Train model
GET  /control/requests          the API calls so far
POST /control/faults            {\"operation\"?, \"times\"?, \"kind\"}: what goes wrong next, as told below
DELETE /control/faults          nothing goes wrong any more
";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct NewModelRun {
    model_id: Option<String>,
    name: Option<String>,
    config: Option<Map<String, Value>>,
    dataset: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WantedClick {
    url: String,
    secret: String,
    model_run_id: String,
    #[serde(default)]
    model_type: Option<String>,
}

/// `GET /` and everything under `/control`.
pub(super) fn routes(shared: &Arc<Shared>) -> BoxedFilter<(Response,)> {
    let shared = Arc::clone(shared);
    let welcome = warp::path::end()
        .and(warp::get())
        .map(|| format!("{WELCOME}\n{}", faultable::explain()).into_response());
    let control = warp::path("control")
        .and(warp::method())
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .then(move |method, path, headers, body| {
            let shared = Arc::clone(&shared);
            async move { control(&shared, method, path, headers, body).await }
        });
    welcome.or(control).unify().boxed()
}

async fn control(
    shared: &Shared,
    method: Method,
    path: FullPath,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_local(&headers) {
        let text = "the control surface answers only to this machine: use a loopback address";
        return refuse(StatusCode::FORBIDDEN, text);
    }
    let path = path.as_str().strip_prefix("/control").unwrap_or_default();
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let done = match (method.as_str(), segments.as_slice()) {
        ("POST", ["model-runs"]) => create_run(shared, &body),
        ("GET", ["model-runs", id]) => show_run(shared, id),
        ("DELETE", ["model-runs", id]) => delete_run(shared, id),
        ("GET", ["requests"]) => {
            let requests = shared.read(World::requests);
            Ok((StatusCode::OK, json!({ "requests": requests })))
        }
        ("POST", ["faults"]) => add_fault(shared, &body),
        ("DELETE", ["faults"]) => {
            shared.change(|world| world.faults.clear());
            Ok((StatusCode::OK, json!({})))
        }
        ("POST", ["click"]) => click(shared, &body).await,
        _ => Err(Refused::new(
            StatusCode::NOT_FOUND,
            "there is no such control: GET / tells which there are",
        )),
    };
    match done {
        Ok((status, body)) => json_response(status, &body),
        Err(refused) => refuse(refused.status, &refused.message),
    }
}

type Done = Result<(StatusCode, Value), Refused>;

/// A wish that is not granted, and why.
struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, message }
    }
}

fn create_run(shared: &Shared, body: &[u8]) -> Done {
    let new: NewModelRun = match body.is_empty() {
        true => NewModelRun::default(),
        false => read(body)?,
    };
    let stock = |name: String| {
        let unknown = || format!("there is no dataset {name:?}: take digits, shapes or entities");
        Dataset::stock(&name).ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, unknown()))
    };
    let dataset = new.dataset.map(stock).transpose()?;
    let created = shared.change(|world| {
        let name = new.name.as_deref().unwrap_or("model run");
        let run = world.create_run(new.model_id.as_deref(), name, Timestamp::now());
        run.config = new.config;
        if dataset.is_some() {
            run.dataset = dataset;
        }
        json!({ "modelId": run.model_id, "modelRunId": run.id })
    });
    Ok((StatusCode::CREATED, created))
}

fn show_run(shared: &Shared, id: &str) -> Done {
    let shown = shared.read(|world| {
        let run = world.run(id)?;
        Some(json!({
            "modelRunId": run.id,
            "modelId": run.model_id,
            "name": run.name,
            "config": run.config,
            "pipeline": run.pipeline,
            "timeline": run.timeline,
            "dataRows": run.dataset.as_ref().map_or(0, |dataset| dataset.len()),
            "predictions": run.imports.summary(run.dataset.as_deref(), Timestamp::now()),
        }))
    });
    let shown = shown.ok_or_else(|| unknown_run(id))?;
    Ok((StatusCode::OK, shown))
}

fn delete_run(shared: &Shared, id: &str) -> Done {
    match shared.change(|world| world.delete_run(id)) {
        true => Ok((StatusCode::OK, json!({}))),
        false => Err(unknown_run(id)),
    }
}

fn add_fault(shared: &Shared, body: &[u8]) -> Done {
    let fault: Fault = read(body)?;
    faultable::check(&fault).map_err(|text| Refused::new(StatusCode::BAD_REQUEST, text))?;
    shared.change(|world| world.faults.add(fault));
    Ok((StatusCode::CREATED, json!({})))
}

async fn click(shared: &Shared, body: &[u8]) -> Done {
    let wanted: WantedClick = read(body)?;
    let click = Click {
        url: wanted.url,
        secret: Secret::new(wanted.secret),
        model_run_id: wanted.model_run_id,
        model_type: wanted.model_type,
    };
    match shared.click(click).await {
        Ok(outcome) => Ok((StatusCode::OK, json!(outcome))),
        Err(error) => {
            let status = match &error {
                ClickError::UnknownRun(_) => StatusCode::NOT_FOUND,
                ClickError::Call(CallError::Address { .. }) => StatusCode::BAD_REQUEST,
                ClickError::Call(_) => StatusCode::BAD_GATEWAY,
            };
            Err(Refused::new(status, error.to_string()))
        }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let explain = |error| {
        let message = format!("cannot read the body: {error}");
        Refused::new(StatusCode::BAD_REQUEST, message)
    };
    // By way of a map, because a list would pass for a struct whose fields all have defaults.
    let map: Map<String, Value> = serde_json::from_slice(body).map_err(explain)?;
    serde_json::from_value(Value::Object(map)).map_err(explain)
}

fn unknown_run(id: &str) -> Refused {
    Refused::new(StatusCode::NOT_FOUND, format!("no model run {id}"))
}

/// Whether the caller named a loopback address and, if a page called, the page came from one: a foreign web page
/// open in a browser here must not steer the emulator.
fn is_local(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").is_some_and(|host| names_loopback(&format!("http://{host}/")));
    let origin = headers.get("origin").is_none() || text("origin").is_some_and(names_loopback);
    host && origin
}

fn names_loopback(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    host == "localhost" || address.parse().is_ok_and(is_loopback)
}
