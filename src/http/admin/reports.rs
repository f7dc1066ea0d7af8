//! The outbox for people, and whether anything is stuck.

use jiff::Timestamp;
use serde_json::json;
use warp::{http::StatusCode, reply::Response};

use super::{Admin, Parameters, jobs::Wish, view};
use crate::http::{answer, error::ApiError};

/// Reports in one list at most.
const LIST_LIMIT: u32 = 1000;

impl Admin {
    pub(super) async fn list_reports(
        &self,
        mut parameters: Parameters,
    ) -> Result<Response, ApiError> {
        let owed = parameters.take("owed")?.unwrap_or(false);
        let limit = parameters.take("limit")?.unwrap_or(100).min(LIST_LIMIT);
        parameters.finish()?;
        let reports = self.store.reports(owed, limit).await?;
        Ok(answer::json(
            StatusCode::OK,
            &json!({"reports": view::reports(&reports)}),
        ))
    }

    pub(super) async fn settle_report(
        &self,
        id: &str,
        action: &str,
        body: &[u8],
    ) -> Result<Response, ApiError> {
        let Wish { actor } = Wish::read(body)?;
        let id: i64 = id
            .parse()
            .map_err(|_| ApiError::Invalid(format!("{id:?} is no report's number")))?;
        tracing::info!(
            report_id = id,
            actor,
            "a person wishes to {action} a report"
        );
        match action {
            "resend" => self.store.resend_report(id).await?,
            _ => self.store.drop_report(id, actor, Timestamp::now()).await?,
        }
        Ok(answer::json(StatusCode::OK, &json!({})))
    }

    /// Ready, unless something waits for a person.
    pub(super) async fn readiness(&self) -> Response {
        let reasons = self.reasons().await;
        let ready = reasons.is_empty();
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        answer::json(status, &json!({"ready": ready, "reasons": reasons}))
    }

    /// The same, always 200, for whoever wants the reasons.
    pub(super) async fn show_readiness(&self) -> Response {
        let reasons = self.reasons().await;
        answer::json(StatusCode::OK, &json!({"reasons": reasons}))
    }

    async fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.room.get().shortage().into_iter().collect();
        match self.store.parked().await {
            Err(error) => reasons.push(format!("the store cannot be read: {error}")),
            Ok(parked) => {
                let refused =
                    |workspace| format!("Labelbox refuses the API key of workspace {workspace}");
                reasons.extend(parked.workspaces.into_iter().map(refused));
                if parked.runs > 0 {
                    reasons.push(format!(
                        "Labelbox refuses the reports of {} model runs",
                        parked.runs
                    ));
                }
            }
        }
        reasons
    }
}
