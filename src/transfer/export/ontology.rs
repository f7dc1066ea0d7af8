//! `data/ontology.json`: what the run's rows are labelled with.

use super::{Export, failure::Failure, on_disk};
use crate::{dataset::Ontology, job_dir::files};

/// Its name in the data folder.
pub(super) const FILE: &str = "ontology.json";

impl Export<'_> {
    /// Asks for the ontology of the run's model and writes it down; none if the model has none.
    pub(super) async fn ontology(&self) -> Result<Option<Ontology>, Failure> {
        let ontology = match self.model_id().await? {
            None => None,
            Some(model) => {
                let model = model.as_str();
                let asked = self.ask("the ontology", move |labelbox| async move {
                    labelbox.ontology_of_model(model).await
                });
                match asked.await {
                    Err(Failure::Unknown(_)) => None,
                    answered => answered?,
                }
            }
        };
        let written = ontology.clone().unwrap_or_default();
        // The command may do with its own what it likes; predictions are held against ours.
        let folders = [self.dir.server(), self.dir.data()];
        on_disk(move || {
            let text = serde_json::to_vec_pretty(&written)?;
            let mut paths = folders.iter().map(|folder| folder.join(FILE));
            paths.try_for_each(|path| files::write_atomic(&path, &text))
        })
        .await?;
        Ok(ontology)
    }

    /// The request names the model, as a rule; else Labelbox knows.
    async fn model_id(&self) -> Result<Option<String>, Failure> {
        if let Some(model) = &self.job.model_id {
            return Ok(Some(model.clone()));
        }
        let run = &self.job.model_run_id;
        let asked = self.ask("the model run", move |labelbox| async move {
            labelbox.model_run(run).await
        });
        Ok(asked.await?.and_then(|run| run.model_id))
    }
}
