//! What came to Labelbox's listener: what was refused, and which secrets sign.

use jiff::Timestamp;
use serde_json::{Value, json};
use warp::{http::StatusCode, reply::Response};

use super::{Admin, view::time};
use crate::http::answer;

impl Admin {
    pub(super) fn list_refused(&self) -> Response {
        let refused = self.visits.refused();
        answer::json(StatusCode::OK, &json!({"refused": refused}))
    }

    /// Where each secret stands, never its value, and when it last signed since the start of the server.
    pub(super) fn list_secrets(&self) -> Response {
        let view = |(workspace, place, last_use): (String, String, Option<Timestamp>)| json!({"workspace": workspace, "place": place, "lastUsedAt": last_use.map(time)});
        let secrets: Vec<Value> = self.secret_uses().into_iter().map(view).collect();
        answer::json(StatusCode::OK, &json!({"secrets": secrets}))
    }

    /// Workspace, place and last use of each webhook secret.
    pub(super) fn secret_uses(&self) -> Vec<(String, String, Option<Timestamp>)> {
        let (config, routes) = (self.config.get(), self.routes.get());
        let mut uses = Vec::new();
        for workspace in &config.workspaces {
            let of_workspace = routes.iter().find(|routes| routes.name() == workspace.name);
            let last = of_workspace.map(|routes| routes.secrets().last_uses());
            let places = workspace.webhook_secrets.iter().map(ToString::to_string);
            uses.extend(
                (places.zip(last.unwrap_or_default()))
                    .map(|(place, last)| (workspace.name.clone(), place, last)),
            );
        }
        uses
    }
}
