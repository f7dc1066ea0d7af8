//! A request that gets no 200: told to its sender, logged, and kept for whoever sets the connection up.

use jiff::Timestamp;
use warp::reply::Response;

use super::{Door, Request, workspace::WorkspaceRoutes};
use crate::{
    http::{error::ApiError, visits::RefusedRequest},
    job::ModelRunId,
    signature::SignatureError,
};

/// As much of a path is kept, in characters.
const PATH_SHOWN: usize = 100;

/// Why a request gets no 200, and for which run, once that is known.
pub(super) struct Refusal {
    error: ApiError,
    model_run_id: Option<ModelRunId>,
    /// For people on our side only.
    diagnosis: Option<String>,
}

impl<E: Into<ApiError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            model_run_id: None,
            diagnosis: None,
        }
    }
}

impl Refusal {
    pub(super) fn of_run(self, model_run_id: ModelRunId) -> Self {
        Self {
            model_run_id: Some(model_run_id),
            ..self
        }
    }

    pub(super) fn with_diagnosis(self, diagnosis: Option<String>) -> Self {
        Self { diagnosis, ..self }
    }
}

impl Door {
    /// The answer; the workspace's name is empty if there is none.
    pub(super) fn refuse(
        &self,
        request: Request<'_>,
        workspace: &str,
        refusal: Refusal,
    ) -> Response {
        let Refusal {
            error,
            model_run_id,
            diagnosis,
        } = refusal;
        let (code, sender) = (error.code(), request.sender);
        let run = model_run_id.as_ref().map(tracing::field::display);
        tracing::info!(workspace, model_run_id = run, %sender, code, diagnosis, "a request refused");
        self.visits.count(workspace, code);
        self.visits.note_refusal(RefusedRequest {
            at: Timestamp::now(),
            sender,
            method: request.method.as_str().chars().take(PATH_SHOWN).collect(),
            path: request.path.chars().take(PATH_SHOWN).collect(),
            workspace: Some(workspace.to_owned()).filter(|name| !name.is_empty()),
            status: error.status().as_u16(),
            code,
            message: error.to_string(),
            diagnosis: diagnosis.or_else(|| explain(&error, self)),
        });
        error.into_response()
    }
}

/// What a sender need not know.
fn explain(error: &ApiError, door: &Door) -> Option<String> {
    match error {
        ApiError::NotFound => {
            let workspaces = door.workspaces.get();
            let paths: Vec<&str> = workspaces.iter().map(WorkspaceRoutes::path).collect();
            Some(format!(
                "the workspaces are at {}: does a proxy take a prefix away, or add one?",
                paths.join(", ")
            ))
        }
        ApiError::Signature(SignatureError::Missing) => Some(
            "no secret is set in Labelbox, or a proxy takes the header away, or it was not Labelbox"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Why a signature does not match, as far as trying can tell.
pub(super) fn diagnose(
    workspaces: &[WorkspaceRoutes],
    workspace: &WorkspaceRoutes,
    signature: &str,
    body: &[u8],
) -> Option<String> {
    let signs = |other: &&WorkspaceRoutes| other.secrets.verify(Some(signature), body).is_ok();
    if let Some(other) = workspaces.iter().find(signs) {
        return Some(format!(
            "it is signed with a secret of workspace {}: the URL in Labelbox should end in {}",
            other.name,
            other.path()
        ));
    }
    workspace
        .secrets
        .diagnose(signature, body)
        .map(str::to_owned)
}

/// What follows from a secret that has signed other requests.
pub(super) fn know_the_secret(workspace: &WorkspaceRoutes) -> Option<String> {
    let last = workspace.secrets.last_uses().into_iter().flatten().max()?;
    Some(format!(
        "a secret of this workspace signed a request at {last:.0}: either this body was changed on its way, or the \
         secret in Labelbox was changed since, or it was not Labelbox"
    ))
}
