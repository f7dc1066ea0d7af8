//! Whether a run's data will do for a training, in sentences for whoever labels.

use super::{classes::unlabelled, record::Record};
use crate::{
    config::Preflight,
    dataset::{Ontology, Split},
};

/// So many classes are named; more are counted.
const NAMED: usize = 3;

/// What each split is for, for people.
const fn purpose(split: Split) -> &'static str {
    match split {
        Split::Training => "to learn from",
        Split::Validation => "to choose by",
        Split::Test => "to be measured by",
        Split::Unassigned => "without a split",
    }
}

/// Whether each split has the rows that it needs; `found` has them in the order of `Split::ALL`.
///
/// # Errors
/// What is missing, and what to do about it in Labelbox.
pub(super) fn check_counts(wanted: &Preflight, found: &[u64; 4]) -> Result<(), String> {
    if found.iter().all(|rows| *rows == 0) {
        return Err("the model run has no data rows: add some to it in Labelbox".to_owned());
    }
    for (split, rows) in Split::ALL.into_iter().zip(found) {
        enough(split, *rows, wanted.least(split))?;
    }
    Ok(())
}

/// Whether what came of the run will do.
///
/// # Errors
/// What is missing, and what to do about it in Labelbox.
pub(super) fn check(
    wanted: &Preflight,
    found: &Record,
    ontology: Option<&Ontology>,
) -> Result<(), String> {
    check_counts(wanted, &found.files.each_ref().map(|part| part.rows))?;
    match (wanted.every_class_labelled, ontology) {
        (false, _) => Ok(()),
        (true, None) => Err(
            "the model has no ontology, so nobody knows what its classes are: give it one in Labelbox"
                .to_owned(),
        ),
        (true, Some(ontology)) => every_class_labelled(found, ontology),
    }
}

/// A class that only stands in rows to choose or to be measured by cannot be learnt. A run in which nobody has assigned
/// rows for training is not kept from its training for that: what it has to learn from are the rows without a split.
fn every_class_labelled(found: &Record, ontology: &Ontology) -> Result<(), String> {
    // An earlier version has looked at them already.
    let Some(classes) = &found.classes else {
        return Ok(());
    };
    let rows_of = |split: Split| found.files[split as usize].rows;
    if rows_of(Split::Training) == 0 && rows_of(Split::Unassigned) > 0 {
        let missing = unlabelled(ontology, &classes.unassigned);
        return all_labelled(&missing, "in the rows without a split");
    }
    let missing = unlabelled(ontology, &classes.training);
    all_labelled(&missing, "in the training split")
}

fn enough(split: Split, rows: u64, least: u32) -> Result<(), String> {
    let what = purpose(split);
    match (rows, least) {
        (rows, least) if rows >= u64::from(least) => Ok(()),
        (0, _) => Err(format!(
            "the run has no rows in split '{split}': assign some to it in Labelbox, {what}"
        )),
        (rows, least) => Err(format!(
            "the run has only {rows} rows in split '{split}', but {least} are needed: assign more to it in Labelbox"
        )),
    }
}

fn all_labelled(missing: &[String], place: &str) -> Result<(), String> {
    let named: Vec<String> = missing
        .iter()
        .take(NAMED)
        .map(|name| format!("'{name}'"))
        .collect();
    let named = named.join(", ");
    match missing.len() {
        0 => Ok(()),
        1 => Err(format!(
            "the class {named} has no label {place}: label some rows there, or take it out of the ontology"
        )),
        count if count <= NAMED => Err(format!(
            "the classes {named} have no label {place}: label some rows there with each, or take them out of the ontology"
        )),
        count => Err(format!(
            "{count} classes have no label {place}, such as {named}: label some rows there with each, or take them out of \
             the ontology"
        )),
    }
}
