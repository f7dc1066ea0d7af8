//! What came to Labelbox's listener: what was refused, and which secrets sign.

use serde_json::{Value, json};
use warp::{http::StatusCode, reply::Response};

use super::{Admin, view::time};
use crate::{config::Workspace, http::answer};

impl Admin {
    pub(super) fn list_refused(&self) -> Response {
        let refused = self.visits.refused();
        answer::json(StatusCode::OK, &json!({"refused": refused}))
    }

    /// Where each secret stands, never its value, and when it last signed since the start of the server.
    pub(super) fn list_secrets(&self) -> Response {
        let config = self.config.get();
        let secrets: Vec<Value> = config
            .workspaces
            .iter()
            .flat_map(|workspace| self.secrets_of(workspace))
            .collect();
        answer::json(StatusCode::OK, &json!({"secrets": secrets}))
    }

    fn secrets_of(&self, workspace: &Workspace) -> Vec<Value> {
        let uses = self.visits.secrets(&workspace.name);
        let references = workspace.webhook_secrets.iter().enumerate();
        let view = |(index, reference): (usize, &crate::config::SecretRef)| {
            let last_use = uses.get(index).copied().flatten().map(time);
            json!({
                "workspace": workspace.name, "place": reference.to_string(), "lastUsedAt": last_use,
            })
        };
        references.map(view).collect()
    }
}
