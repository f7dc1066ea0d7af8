//! Submitting, and finding again what was submitted.

use std::path::{Path, PathBuf};

use reqwest::Method;

use super::{
    RayExecutor,
    api::{Body, Fault},
    handle::RayHandle,
    submission::{Sent, Submission},
};
use crate::{
    config::Supervisor,
    executor::{Found, Launch, QueryError, SubmitError, shell},
    job::Handle,
};

/// Bytes read of the answer to a submit.
const ANSWER_LIMIT: usize = 64 * 1024;

impl RayExecutor {
    /// Ray takes a name once, so a submit that is repeated makes no second job. Its refusal of a name that is taken, and
    /// whatever else goes wrong in its own parts, is a 500: then it is asked what it has.
    pub(super) async fn bring_up(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let sent = match self.sent_program(launch)? {
            None => None,
            Some(program) => Some(self.packages.provide(&self.api, &program).await?),
        };
        let submission = self.settings.submission(launch, sent.as_ref())?;
        write_variables(launch, &submission).await?;
        let handle = RayHandle::new(launch, &submission);
        let limits = (self.settings.call_timeout, ANSWER_LIMIT);
        let body = Body::Json(submission.body);
        let fault = match self.api.call(Method::POST, "jobs/", body, limits).await {
            Ok(_) => return Ok(handle.pack(launch.id)?.at(self.api.place())),
            Err(fault) => fault,
        };
        match &fault {
            Fault::Lost(_) | Fault::TooLong(_) => {}
            Fault::Refused { status: 500.., .. } => {}
            Fault::Away(_) | Fault::Refused { .. } => return Err(fault.of_submit()),
        }
        match self.api.job(launch.id).await {
            Ok(Some(job)) if job.is_of(&launch.server_id) => {
                Ok(handle.pack(launch.id)?.at(self.api.place()))
            }
            Ok(Some(_)) => Err(SubmitError::Rejected(format!(
                "there is a job {} in Ray which this server has not made: delete it",
                launch.id
            ))),
            // Whoever did not hear the answer does not know either whether the question still travels.
            Ok(None) => Err(fault.of_submit()),
            Err(_) => Err(SubmitError::Ambiguous(fault.to_string())),
        }
    }

    /// A job that Ray does not have may still appear, if the question is on its way; and a head that was restarted has
    /// forgotten all of them. So to see none is to know nothing.
    pub(super) async fn look_up(&self, launch: &Launch) -> Result<Found, QueryError> {
        let job = self.api.job(launch.id).await?;
        if !job.is_some_and(|job| job.is_of(&launch.server_id)) {
            return Ok(Found::Unknowable);
        }
        let handle = match self.settings.submission(launch, None) {
            Ok(submission) => RayHandle::new(launch, &submission),
            Err(_) => RayHandle::by_name(&launch.server_id, &launch.attempt_dir),
        };
        let handle = handle.pack(launch.id);
        Ok(Found::Attempts(vec![handle?.at(self.api.place())]))
    }

    /// The body of the request that a submit would make.
    pub(super) async fn planned(&self, launch: &Launch) -> Result<Submission, SubmitError> {
        let sent: Option<Sent> = match self.sent_program(launch)? {
            None => None,
            Some(program) => Some(self.packages.name(&program).await?),
        };
        self.settings.submission(launch, sent.as_ref())
    }

    /// The file of the program that Ray is to bring to the node.
    fn sent_program(&self, launch: &Launch) -> Result<Option<PathBuf>, SubmitError> {
        if self.settings.supervisor != Supervisor::Sent {
            return Ok(None);
        }
        let own = launch.argv.first().map(|program| {
            // The program that runs may have been replaced; the new one lies in the same place.
            Path::new(program.strip_suffix(" (deleted)").unwrap_or(program)).to_owned()
        });
        let program = self.settings.program.clone().or(own);
        let none = || SubmitError::Rejected("the launch has no program".to_owned());
        program.ok_or_else(none).map(Some)
    }
}

async fn write_variables(launch: &Launch, submission: &Submission) -> Result<(), SubmitError> {
    let Some(file) = submission.variables.clone() else {
        return Ok(());
    };
    let env = launch.env.clone();
    let write = move || shell::write_variables(&file, &env);
    let written = tokio::task::spawn_blocking(write).await;
    let written = written.map_err(|error| SubmitError::Transient(error.to_string()))?;
    written.map_err(|error| {
        SubmitError::Transient(format!("cannot write the job's variables: {error}"))
    })
}
