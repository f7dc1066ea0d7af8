//! A final read back: an older update that was lost on its way may have arrived after it.

use jiff::Timestamp;

use super::Reporter;
use crate::{
    labelbox::Class,
    store::{Delivery, StoreError},
};

impl Reporter {
    /// Reads back a final that an older, late update may have overtaken; owes it again if so.
    pub(super) async fn read_back(&self, read: &Delivery) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let later = now + self.config.get().reporting.read_back_after;
        let labelboxes = self.labelboxes.get();
        let Some(labelbox) = labelboxes.get(&read.workspace) else {
            return self.store.postpone_read_back(read, later).await;
        };
        match labelbox.read_pipeline(&read.model_run_id).await {
            Ok(pipeline) => {
                let holds = pipeline.status.as_deref() == Some(read.report.status.as_str());
                if !holds {
                    tracing::warn!(job_id = %read.job, "a late update has overtaken the final: it is sent again");
                }
                self.store.finish_read_back(read, !holds, now).await
            }
            // What may not be read is told once more; the update says what Labelbox thinks of the run.
            Err(error) if matches!(error.class(), Class::ParkRun | Class::NotFound) => {
                tracing::warn!(job_id = %read.job, "the final cannot be read back and is sent again: {error}");
                self.store.finish_read_back(read, true, now).await
            }
            Err(error) => {
                tracing::warn!(job_id = %read.job, "the final cannot be read back: {error}");
                self.store.postpone_read_back(read, later).await
            }
        }
    }
}
