//! One workspace as Labelbox sees it: its paths, its secrets, its models.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use warp::http::{HeaderMap, Method};

use crate::{
    config::{ModelEntry, Workspace},
    http::error::ApiError,
    signature::{SIGNATURE_HEADER, SignatureError, WebhookSecrets},
};

/// A refusal names at most this many models…
const NAMES_SHOWN: usize = 20;
/// …and quotes at most this many characters of what was asked for.
const CHARACTERS_SHOWN: usize = 100;

/// What one workspace offers to Labelbox.
#[derive(Debug)]
pub struct WorkspaceRoutes {
    pub(super) name: String,
    path: String,
    unsigned: bool,
    pub(super) secrets: WebhookSecrets,
    titles: Vec<String>,
    models: HashMap<String, Arc<ModelEntry>>,
    /// The answer of GET /models. The reference implementation answers the same form: names as keys, empty objects.
    pub(super) listing: Bytes,
}

impl WorkspaceRoutes {
    /// The routes of `workspace`, offering those of `models` that it names, in the order of `models`.
    #[must_use]
    pub fn new(workspace: &Workspace, models: &[ModelEntry], secrets: WebhookSecrets) -> Self {
        let named = |model: &&ModelEntry| match &workspace.models {
            Some(slugs) => slugs.contains(&model.slug),
            None => true,
        };
        let offered: Vec<&ModelEntry> = models.iter().filter(named).collect();
        let titles: Vec<String> = offered.iter().map(|model| model.title.clone()).collect();
        let listing: Map<String, Value> =
            (titles.iter().cloned().map(|title| (title, json!({})))).collect();
        Self {
            name: workspace.name.clone(),
            path: workspace.path.clone(),
            unsigned: workspace.unsigned,
            secrets,
            listing: Value::Object(listing).to_string().into(),
            models: (offered.into_iter())
                .map(|model| (model.title.clone(), Arc::new(model.clone())))
                .collect(),
            titles,
        }
    }

    /// The endpoint that `path` names here, if it is this workspace's. Slashes too many are not there: Labelbox
    /// appends its paths to a base address that people type, with or without a slash at its end.
    pub(super) fn endpoint(&self, path: &str) -> Option<Endpoint> {
        let mut rest = segments(path);
        if !segments(&self.path).all(|segment| rest.next() == Some(segment)) {
            return None;
        }
        let endpoint = match rest.next()? {
            "models" => Endpoint::Models,
            "model_run" => Endpoint::ModelRun,
            "ping" => Endpoint::Ping,
            _ => return None,
        };
        rest.next().is_none().then_some(endpoint)
    }

    /// The signature that a request must bear; none where none is needed.
    pub(super) fn signature<'a>(
        &self,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a str>, SignatureError> {
        match self.unsigned {
            true => Ok(None),
            false => signature(headers).map(Some),
        }
    }

    /// The workspace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The secrets that open it.
    #[must_use]
    pub fn secrets(&self) -> &WebhookSecrets {
        &self.secrets
    }

    /// What precedes the endpoints.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn find_model(&self, model_type: &str) -> Result<Arc<ModelEntry>, ApiError> {
        self.models.get(model_type).cloned().ok_or_else(|| {
            let mut shown = self
                .titles
                .iter()
                .take(NAMES_SHOWN)
                .cloned()
                .collect::<Vec<_>>();
            if self.titles.len() > NAMES_SHOWN {
                shown.push(format!("… ({} in all)", self.titles.len()));
            }
            ApiError::UnknownModelType {
                asked: model_type.chars().take(CHARACTERS_SHOWN).collect(),
                offered: match shown.as_slice() {
                    [] => "is none".to_owned(),
                    names => format!("are: {}", names.join(", ")),
                },
            }
        })
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// The one signature header; which of several is meant nobody can know.
fn signature(headers: &HeaderMap) -> Result<&str, SignatureError> {
    let mut values = headers.get_all(SIGNATURE_HEADER).iter();
    let value = values.next().ok_or(SignatureError::Missing)?;
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(text),
        _ => Err(SignatureError::Malformed),
    }
}

/// What can be asked of a workspace.
#[derive(Debug, Clone, Copy)]
pub(super) enum Endpoint {
    Models,
    ModelRun,
    Ping,
}

impl Endpoint {
    pub(super) fn check_method(self, method: &Method) -> Result<(), ApiError> {
        let allow = match self {
            Self::Models | Self::Ping => Method::GET,
            Self::ModelRun => Method::POST,
        };
        if *method == allow {
            return Ok(());
        }
        let allow = if allow == Method::GET { "GET" } else { "POST" };
        Err(ApiError::MethodNotAllowed { allow })
    }
}
