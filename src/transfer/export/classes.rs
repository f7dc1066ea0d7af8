//! Which classes of an ontology stand in labels. A class is a tool or an answer that can be chosen, also one to a question
//! that is asked of an object or after another answer.
//!
//! What counts are the labels of the rows that a training learns from: those of its split or, where no row is in any
//! training split, those without a split, which are all that such a training has.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::dataset::{Answer, Answered, Classification, Object, Ontology, Row, RowError, Split};

/// Classes that stand in labels, each by the schema ids that lead to it: the same one may stand at several places of an
/// ontology.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Labelled {
    /// Of rows for training.
    pub(super) training: BTreeSet<String>,
    /// Of rows without a split.
    pub(super) unassigned: BTreeSet<String>,
}

/// The classes that were seen so far.
#[derive(Debug)]
pub(super) struct SeenClasses {
    ontology: Ontology,
    pub(super) labelled: Labelled,
}

impl SeenClasses {
    pub(super) fn new(ontology: Ontology, labelled: Labelled) -> Self {
        Self { ontology, labelled }
    }

    /// Takes in the labels of a line of an export.
    ///
    /// # Errors
    /// When the line is no row.
    pub(super) fn take(&mut self, line: &[u8], split: Split) -> Result<(), RowError> {
        let labelled = match split {
            Split::Training => &mut self.labelled.training,
            Split::Unassigned => &mut self.labelled.unassigned,
            Split::Validation | Split::Test => return Ok(()),
        };
        let row = Row::read(line)?;
        let mut seen = Seen {
            labelled,
            path: String::new(),
        };
        for label in row.labels() {
            for object in label.annotations.drawn() {
                seen.object(&self.ontology, object);
            }
            for answered in label.annotations.answered() {
                seen.answers(&self.ontology.classifications, answered);
            }
        }
        Ok(())
    }
}

/// What was seen, and where in the ontology we are.
struct Seen<'a> {
    labelled: &'a mut BTreeSet<String>,
    path: String,
}

impl Seen<'_> {
    fn object(&mut self, ontology: &Ontology, object: &Object) {
        let id = object.feature_schema_id.as_deref();
        let by_id = id.and_then(|id| ontology.tool(id));
        let Some(tool) = by_id.or_else(|| ontology.tool(&object.name)) else {
            return;
        };
        self.within(&tool.schema_id, |seen| {
            seen.note();
            seen.answers(&tool.classifications, &object.classifications);
        });
    }

    fn answers(&mut self, questions: &[Classification], answered: &[Answered]) {
        for answered in answered {
            let id = answered.feature_schema_id.as_deref();
            let by_id = questions.iter().find(|it| Some(&*it.schema_id) == id);
            let by_name = || questions.iter().find(|it| it.name == answered.name);
            let Some(question) = by_id.or_else(by_name) else {
                continue;
            };
            let answers = answered.radio_answer.iter();
            self.within(&question.schema_id, |seen| {
                for answer in answers.chain(&answered.checklist_answers) {
                    seen.answer(question, answer);
                }
            });
        }
    }

    fn answer(&mut self, question: &Classification, answer: &Answer) {
        let id = answer.feature_schema_id.as_deref();
        let by_id = id.and_then(|id| question.option(id));
        let Some(option) = by_id.or_else(|| question.option(&answer.name)) else {
            return;
        };
        self.within(&option.schema_id, |seen| {
            seen.note();
            seen.answers(&option.classifications, &answer.classifications);
        });
    }

    /// Almost every time it was seen before.
    fn note(&mut self) {
        if !self.labelled.contains(&self.path) {
            self.labelled.insert(self.path.clone());
        }
    }

    fn within(&mut self, schema_id: &str, go_on: impl FnOnce(&mut Self)) {
        let here = self.path.len();
        step(&mut self.path, schema_id);
        go_on(self);
        self.path.truncate(here);
    }
}

fn step(path: &mut String, schema_id: &str) {
    path.push('/');
    path.push_str(schema_id);
}

/// The names of the classes that stand in no label, in the ontology's order.
pub(super) fn unlabelled(ontology: &Ontology, labelled: &BTreeSet<String>) -> Vec<String> {
    let mut missing = Missing {
        labelled,
        names: Vec::new(),
    };
    for tool in &ontology.tools {
        let path = missing.class("", &tool.schema_id, tool.name.clone());
        missing.questions(&path, &tool.name, &tool.classifications);
    }
    missing.questions("", "", &ontology.classifications);
    missing.names
}

struct Missing<'a> {
    labelled: &'a BTreeSet<String>,
    names: Vec<String>,
}

impl Missing<'_> {
    /// `name` is that of the class that the questions are asked of.
    fn questions(&mut self, path: &str, name: &str, questions: &[Classification]) {
        for question in questions {
            let mut path = path.to_owned();
            step(&mut path, &question.schema_id);
            for option in &question.options {
                let names = [name, &question.name, &option.name];
                let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
                let name = names.join(": ");
                let path = self.class(&path, &option.schema_id, name.clone());
                self.questions(&path, &name, &option.classifications);
            }
        }
    }

    /// Answers its path.
    fn class(&mut self, path: &str, schema_id: &str, name: String) -> String {
        let mut path = path.to_owned();
        step(&mut path, schema_id);
        if !self.labelled.contains(&path) {
            self.names.push(name);
        }
        path
    }
}
