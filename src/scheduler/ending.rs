//! Asking the engine to end an attempt, beside the loop: an engine that takes long for one holds up no other.

use std::sync::{Arc, Mutex, PoisonError};

use super::{
    engine_loop::{CALL_TIMEOUT, EngineLoop},
    memory::Memory,
};
use crate::{
    executor::QueryError,
    job::{Job, LaunchId},
};

/// An engine is being asked; no longer once this is dropped, also by a panic.
struct Asking {
    memory: Arc<Mutex<Memory>>,
    launch_id: LaunchId,
    refusal: Option<String>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        // What is over is not remembered again.
        if let Some(attempt) = memory.known(self.launch_id) {
            attempt.asked_to_end(self.refusal.take());
        }
    }
}

impl EngineLoop {
    /// Has the engine asked once, unless it is being asked already. What it answers is seen at the next look.
    pub(super) fn ask_to_end<T, F>(&self, job: &Job, what: &'static str, call: F)
    where
        F: Future<Output = Result<T, QueryError>> + Send + 'static,
    {
        if !self.with_memory(job, super::memory::Remembered::may_ask_to_end) {
            return;
        }
        let job_id = job.id;
        let asking = Asking {
            memory: Arc::clone(&self.memory),
            launch_id: job.launch_id(),
            refusal: None,
        };
        tokio::spawn(async move {
            let mut asking = asking;
            let refusal = match tokio::time::timeout(CALL_TIMEOUT, call).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it did not answer in time".to_owned(),
            };
            tracing::warn!(%job_id, "the engine {what}: {refusal}");
            asking.refusal = Some(format!("the engine {what}: {refusal}"));
        });
    }
}
