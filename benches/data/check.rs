//! Predictions checked against a run's ontology and rows, by themselves.

use std::{fs::File, io::BufReader, time::Instant};

use trainhook::{
    dataset::{Ontology, RowIndex},
    job::JobId,
    predictions::{Checker, Sources, freeze},
};

use crate::{measured::row, upload::Circle};

/// Lines of a chunk.
const CHUNK: u32 = 20_000;

pub(crate) fn measure(rows: u64, circle: &Circle) {
    let ontology = File::open(circle.job_dir.join("data/ontology.json")).expect("an ontology");
    let ontology: Ontology = serde_json::from_reader(BufReader::new(ontology)).expect("JSON");
    let index = RowIndex::open(&circle.job_dir.join("server/rows.index")).expect("an index");
    let mut checker = Checker::new(&ontology, &index);
    let source = BufReader::new(File::open(circle.predictions.path()).expect("predictions"));
    let server = tempfile::tempdir().expect("a folder");
    let begun = Instant::now();
    let draft = freeze(
        Sources::written(source),
        &mut checker,
        JobId::new(jiff::Timestamp::now()),
        (server.path(), CHUNK),
    );
    let frozen = draft
        .and_then(|draft| Ok(draft.keep()?))
        .expect("it is frozen");
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(frozen.sent(), rows);
    let rate = rows as f64 / seconds;
    row(
        "predictions checked and frozen, nothing else",
        &format!("{rate:.0}/s"),
    );
}
