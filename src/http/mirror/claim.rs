//! The claim: the same file that a supervisor with the job directory would have won, made for one that has not.

use std::time::Duration;

use bytes::Bytes;
use warp::reply::Response;

use super::{
    Service,
    guard::{blocking, parse},
    ok,
};
use crate::{
    http::error::ApiError,
    job::{LaunchId, Stage},
    job_dir::{Claim, ClaimOutcome, Claimant},
    mirror::{ClaimAnswer, ClaimRequest, Disclosed},
};

/// Bytes of a machine's name of something: the claim is read back whole, so it must stay within what is believed.
const NAME_LIMIT: usize = 256;

impl Service {
    pub(super) async fn claim(
        &self,
        launch_id: LaunchId,
        body: &Bytes,
    ) -> Result<Response, ApiError> {
        let asked: ClaimRequest = parse(body)?;
        check_names(&asked)?;
        let attempt = self.attempt(launch_id).await?;
        let claim = Claim {
            launch_id,
            by: Claimant::Supervisor {
                instance: asked.instance,
            },
            boot_id: asked.boot_id,
            machine_id: asked.machine_id,
            engine_id: asked.engine_id,
            // It has nothing yet of what the command needs.
            stage: Some(Stage::Preparing),
        };
        let (dir, entry) = (attempt.dir.clone(), attempt.job.entry.clone());
        let claimed = blocking(move || {
            // Whoever wins must be able to begin.
            let mut secrets = entry.secrets().map_err(std::io::Error::other)?;
            secrets.extend(entry.passed());
            let request = dir.read_request()?;
            Ok((dir.try_claim(&claim)?, request, secrets))
        });
        let (outcome, request, secrets) = claimed.await?;
        match outcome {
            ClaimOutcome::Won => self.ring(&attempt.job, Duration::ZERO),
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

fn check_names(asked: &ClaimRequest) -> Result<(), ApiError> {
    let names = [
        ("boot_id", Some(&asked.boot_id)),
        ("machine_id", Some(&asked.machine_id)),
        ("engine_id", asked.engine_id.as_ref()),
    ];
    for (name, value) in names {
        if value.is_some_and(|value| value.len() > NAME_LIMIT) {
            let message = format!("{name} has more than {NAME_LIMIT} bytes");
            return Err(ApiError::Invalid(message));
        }
    }
    Ok(())
}
