//! A column for each question that is asked of whole rows.

use serde_json::{Map, Value, json};

use super::card::{class, list, plain};
use crate::{
    dataset::{Answered, Classification, Label, Ontology},
    formats::classes::Names,
};

/// What the column of the only question is called.
const ONLY: &str = "label";

/// The questions' columns, in the ontology's order.
#[derive(Debug)]
pub(super) struct Columns {
    list: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    question: Classification,
    several: bool,
}

impl Columns {
    /// None of them is called as another column is.
    pub(super) fn of(ontology: &Ontology, others: &[&str]) -> Self {
        let questions = &ontology.classifications;
        let mut names = Names::without(others);
        let column = |question: &Classification| Column {
            name: match questions.as_slice() {
                [_] => ONLY.to_owned(),
                _ => names.unique(&question.name, &question.kind),
            },
            several: question.kind == "checklist",
            question: question.clone(),
        };
        Self {
            list: questions.iter().map(column).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What `datasets` has to know of them.
    pub(super) fn features(&self) -> impl Iterator<Item = Value> {
        self.list.iter().map(|column| {
            let options = column.question.options.iter();
            let options: Vec<&str> = options.map(|option| option.name.as_str()).collect();
            match (column.several, options.is_empty()) {
                (true, _) => list(&column.name, &json!("string")),
                (false, true) => plain(&column.name, "string"),
                (false, false) => class(&column.name, &options),
            }
        })
    }

    /// Puts the answers into a line: a text, or a list of texts for a checklist; null where nobody answered.
    pub(super) fn fill(&self, line: &mut Map<String, Value>, label: Option<&Label>) {
        for column in &self.list {
            let answers = label.map(|label| label.annotations.classifications.iter());
            let answered =
                answers.and_then(|mut answers| answers.find(|it| column.is_answered(it)));
            let value = match (column.several, answered) {
                (true, None) if label.is_some() => json!([]),
                (_, None) => Value::Null,
                (true, Some(answered)) => names(answered),
                (false, Some(answered)) => one(answered),
            };
            line.insert(column.name.clone(), value);
        }
    }
}

impl Column {
    fn is_answered(&self, answered: &Answered) -> bool {
        let id = answered.feature_schema_id.as_ref();
        id == Some(&self.question.schema_id) || answered.name == self.question.name
    }
}

fn names(answered: &Answered) -> Value {
    let several = answered.checklist_answers.iter();
    let answers = several.chain(&answered.radio_answer);
    answers.map(|answer| answer.name.as_str()).collect()
}

fn one(answered: &Answered) -> Value {
    let several = answered.checklist_answers.iter();
    let mut answers = answered.radio_answer.iter().chain(several);
    let words = || {
        answered
            .text_answer
            .as_ref()
            .map(|text| text.content.as_str())
    };
    let name = answers.next().map(|answer| answer.name.as_str());
    name.or_else(words).into()
}
