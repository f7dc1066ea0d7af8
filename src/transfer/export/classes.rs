//! Which classes of an ontology stand in labels. A class is a tool, or an answer to a question that is asked of whole
//! rows; details that are asked of an object are none.

use std::collections::BTreeSet;

use crate::dataset::{Answer, Answered, Object, Ontology, Row, RowError};

/// The classes that were seen so far, by their schema ids.
#[derive(Debug)]
pub(super) struct SeenClasses {
    ontology: Ontology,
    pub(super) labelled: BTreeSet<String>,
}

impl SeenClasses {
    pub(super) fn new(ontology: Ontology, labelled: BTreeSet<String>) -> Self {
        Self { ontology, labelled }
    }

    /// Takes in the labels of a line of an export.
    ///
    /// # Errors
    /// When the line is no row that we understand.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<(), RowError> {
        let row = Row::read(line)?;
        for label in row.labels() {
            for object in &label.annotations.objects {
                self.see_object(object);
            }
            for answered in &label.annotations.classifications {
                self.see_answers(answered);
            }
        }
        Ok(())
    }

    fn see_object(&mut self, object: &Object) {
        let by_id = object.feature_schema_id.as_deref();
        let tool = by_id.and_then(|id| self.ontology.tool(id));
        if let Some(tool) = tool.or_else(|| self.ontology.tool(&object.name)) {
            see(&mut self.labelled, &tool.schema_id);
        }
    }

    fn see_answers(&mut self, answered: &Answered) {
        let by_id = answered.feature_schema_id.as_deref();
        let question = by_id.and_then(|id| self.ontology.classification(id));
        let Some(question) = question.or_else(|| self.ontology.classification(&answered.name))
        else {
            return;
        };
        let checked = answered.checklist_answers.iter();
        for Answer {
            name,
            feature_schema_id,
            ..
        } in answered.radio_answer.iter().chain(checked)
        {
            let by_id = feature_schema_id.as_deref();
            let option = by_id.and_then(|id| question.option(id));
            if let Some(option) = option.or_else(|| question.option(name)) {
                see(&mut self.labelled, &option.schema_id);
            }
        }
    }
}

/// Almost every time it was seen before.
fn see(labelled: &mut BTreeSet<String>, schema_id: &str) {
    if !labelled.contains(schema_id) {
        labelled.insert(schema_id.to_owned());
    }
}

/// The names of the classes that stand in no label.
pub(super) fn unlabelled(ontology: &Ontology, labelled: &BTreeSet<String>) -> Vec<String> {
    let tools = ontology
        .tools
        .iter()
        .map(|tool| (&tool.schema_id, tool.name.clone()));
    let answers = ontology.classifications.iter().flat_map(|question| {
        let name = |answer: &str| format!("{}: {answer}", question.name);
        let named = move |option: &crate::dataset::AnswerOption| name(&option.name);
        question
            .options
            .iter()
            .map(move |option| (&option.schema_id, named(option)))
    });
    tools
        .chain(answers)
        .filter(|(schema_id, _)| !labelled.contains(*schema_id))
        .map(|(_, name)| name)
        .collect()
}
