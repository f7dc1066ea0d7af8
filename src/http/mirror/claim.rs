//! The claim: the same file that a supervisor with the job directory would have won, made for one that has not.

use bytes::Bytes;
use warp::reply::Response;

use super::{
    Service,
    guard::{blocking, parse},
    ok,
};
use crate::{
    http::error::ApiError,
    job::LaunchId,
    job_dir::{Claim, ClaimOutcome, Claimant},
    mirror::{ClaimAnswer, ClaimRequest, Disclosed},
};

impl Service {
    pub(super) async fn claim(
        &self,
        launch_id: LaunchId,
        body: &Bytes,
    ) -> Result<Response, ApiError> {
        let asked: ClaimRequest = parse(body)?;
        let attempt = self.attempt(launch_id).await?;
        let claim = Claim {
            launch_id,
            by: Claimant::Supervisor {
                instance: asked.instance,
            },
            boot_id: asked.boot_id,
            machine_id: asked.machine_id,
            engine_id: asked.engine_id,
        };
        let (dir, entry) = (attempt.dir.clone(), attempt.job.entry.clone());
        let claimed = blocking(move || {
            let (outcome, request) = (dir.try_claim(&claim)?, dir.read_request()?);
            let secrets = entry.secrets().map_err(std::io::Error::other)?;
            Ok((outcome, request, secrets))
        });
        let (outcome, request, secrets) = claimed.await?;
        match outcome {
            ClaimOutcome::Won => self.ring(&attempt.job),
            ClaimOutcome::Lost(winner) => match winner.by {
                // It has asked again: the answer was lost, or its machine was booted.
                Claimant::Supervisor { instance } if instance == asked.instance => {}
                Claimant::Supervisor { .. } => return Err(ApiError::Claimed),
                Claimant::Revoked { .. } => return Err(ApiError::Revoked(launch_id)),
            },
        }
        let secrets = secrets.into_iter();
        Ok(ok(&ClaimAnswer {
            token: Disclosed(self.mirror.key.attempt_token(launch_id)),
            env: secrets
                .map(|(name, value)| (name, Disclosed(value)))
                .collect(),
            request,
        }))
    }
}
