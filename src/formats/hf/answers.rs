//! A column for each question that is asked of whole rows.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::card::{class, list, plain};
use crate::{
    dataset::{Answer, Answered, Classification, Label, Ontology},
    formats::{Note, classes::Names},
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
                _ => names.unique(&column_name(question), &question.kind),
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
            let mut options: Vec<&str> = options.map(|option| option.name.as_str()).collect();
            // `datasets` takes no class twice; whoever reads a name cannot tell the two either.
            let mut seen = HashSet::new();
            options.retain(|name| seen.insert(*name));
            match (column.several, options.is_empty()) {
                (true, _) => list(&column.name, &json!("string")),
                (false, true) => plain(&column.name, "string"),
                (false, false) => class(&column.name, &options),
            }
        })
    }

    /// Puts the answers into a line: a text, or a list of texts for a checklist; null where nobody answered.
    pub(super) fn fill(
        &self,
        line: &mut Map<String, Value>,
        label: Option<&Label>,
        note: &mut dyn FnMut(Note),
    ) {
        for column in &self.list {
            let value = match (column.several, self.answered(column, label)) {
                (true, None) if label.is_some() => json!([]),
                (_, None) => Value::Null,
                (true, Some(answered)) => column.names(answered, note),
                (false, Some(answered)) => column.one(answered, note),
            };
            line.insert(column.name.clone(), value);
        }
    }

    /// Answers name their question by its id; by its name alone where the id is none of the ontology's.
    fn answered<'l>(&self, column: &Column, label: Option<&'l Label>) -> Option<&'l Answered> {
        let answers = &label?.annotations.classifications;
        let id = |answered: &'l Answered| answered.feature_schema_id.as_deref();
        let known = |id: &str| self.list.iter().any(|it| it.question.schema_id == id);
        let by_id = answers
            .iter()
            .find(|it| id(it) == Some(&column.question.schema_id));
        by_id.or_else(|| {
            let mut named = answers.iter().filter(|it| it.name == column.question.name);
            named.find(|it| !id(it).is_some_and(known))
        })
    }
}

impl Column {
    fn names(&self, answered: &Answered, note: &mut dyn FnMut(Note)) -> Value {
        let answers = answered.checklist_answers.iter();
        let answers = answers.chain(&answered.radio_answer);
        answers
            .filter_map(|answer| self.name_of(answer, note))
            .collect()
    }

    fn one(&self, answered: &Answered, note: &mut dyn FnMut(Note)) -> Value {
        let mut answers = answered
            .radio_answer
            .iter()
            .chain(&answered.checklist_answers);
        match (answers.next(), &answered.text_answer) {
            (Some(answer), _) => self.name_of(answer, note).into(),
            (None, text) => text.as_ref().map(|text| text.content.as_str()).into(),
        }
    }

    /// As the ontology has it today. A class that it does not have would keep readers from all rows.
    fn name_of<'a>(&'a self, answer: &'a Answer, note: &mut dyn FnMut(Note)) -> Option<&'a str> {
        let options = &self.question.options;
        if options.is_empty() {
            return Some(&answer.name);
        }
        let id = answer.feature_schema_id.as_deref();
        let by_id = options.iter().find(|option| Some(&*option.schema_id) == id);
        let by_name = || options.iter().find(|option| option.name == answer.name);
        let option = by_id.or_else(by_name);
        let option = option.or_else(|| self.question.option(&answer.name));
        if option.is_none() {
            note(Note::UnknownAnswer);
        }
        option.map(|option| option.name.as_str())
    }
}

/// A column whose name ends like this would be taken for the names of files (datasets 5.2.0: `folder_based_builder.py`).
const FILES: [&str; 2] = ["file_name", "file_names"];

fn column_name(question: &Classification) -> String {
    let name = &question.name;
    match FILES.iter().any(|end| name.ends_with(end)) {
        true => format!("{name} ({})", question.kind),
        false => name.clone(),
    }
}
