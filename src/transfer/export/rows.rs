//! The rows: fetched piece by piece on one side, sorted into files on the other, with little between the two.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    Export,
    failure::Failure,
    on_disk,
    record::Record,
    sorter::{Message, Setting, SortError, Sorter},
    splits::Splits,
};
use crate::dataset::Ontology;

/// Messages that wait for the sorter; one holds what a connection gives at once, some hundred kilobytes at most.
const WAITING: usize = 8;

impl Export<'_> {
    /// Brings the task's rows into the files of their splits, from where they are.
    pub(super) async fn rows(
        &self,
        task: &str,
        splits: Splits,
        ontology: &Option<Ontology>,
    ) -> Result<Record, Failure> {
        let size = self.ask("the export's size", move |labelbox| async move {
            labelbox.export_size(task).await
        });
        let size = size.await.map_err(Failure::of_task)?;
        let (bytes, lines) = size.map_or((0, 0), |size| (size.bytes, size.lines));
        let asks_for_classes = self.job.entry.preflight.every_class_labelled;
        let setting = Setting {
            dir: self.dir.clone(),
            task: task.to_owned(),
            splits,
            ontology: ontology.clone().filter(|_| asks_for_classes),
            meters: Arc::clone(&self.transfer.context.exports),
        };
        let sorter = on_disk(move || Sorter::open(setting)).await?;
        let record = self.sort(task, sorter, bytes).await?;
        if record.rows() != lines {
            tracing::warn!(
                job_id = %self.job.id, task, announced = lines, rows = record.rows(),
                "Labelbox announced another number of rows than it sent",
            );
        }
        Ok(record)
    }

    async fn sort(&self, task: &str, sorter: Sorter, bytes: u64) -> Result<Record, Failure> {
        let from = sorter.record().read;
        let (sender, receiver) = mpsc::channel(WAITING);
        let work = tokio::task::spawn_blocking(move || sorter.run(receiver));
        let fetched = self.fetch(task, from, bytes, &sender).await;
        if fetched.is_ok() {
            // Nobody takes it where the sorter has failed, which is told below.
            let _ = sender.send(Message::End).await;
        }
        drop(sender);
        let sorted = work
            .await
            .map_err(|error| Failure::disk(&std::io::Error::other(error)))?;
        match (sorted, fetched) {
            (Ok(Some(record)), Ok(())) => Ok(record),
            (Err(SortError::Disk(error)), _) => Err(Failure::disk(&error)),
            (Err(error @ SortError::Line { .. }), _) => Err(Failure::export(error.to_string())),
            (_, Err(failure)) => Err(failure),
            (Ok(None), Ok(())) => Err(Failure::later("the export was cut short".to_owned())),
        }
    }
}
