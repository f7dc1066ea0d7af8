//! The ontology that annotations show: the tools and questions that were used, the answers that were given, and what was
//! asked after these.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{option_id, question_id, tool_id};

/// What was seen of an ontology so far, in the order in which it was first seen.
#[derive(Debug, Default)]
pub(super) struct Learned {
    tools: Named<Tool>,
    questions: Named<Question>,
}

#[derive(Debug)]
struct Tool {
    name: String,
    schema_id: String,
    kind: &'static str,
    questions: Named<Question>,
}

#[derive(Debug)]
struct Question {
    name: String,
    schema_id: String,
    kind: &'static str,
    answers: Named<Answer>,
}

#[derive(Debug)]
struct Answer {
    name: String,
    schema_id: String,
    value: String,
    /// What is asked of whoever answers like this.
    questions: Named<Question>,
}

/// Things that are found by their names.
#[derive(Debug)]
struct Named<T> {
    items: Vec<T>,
    places: HashMap<String, usize>,
}

impl Learned {
    /// Takes in `objects` and `classifications`, as an export has them.
    pub(super) fn learn(&mut self, annotations: &Value) {
        for object in list(&annotations["objects"]) {
            let tool = self.tools.at(name(object), |name| Tool::new(name, object));
            learn_answers(&mut tool.questions, &object["classifications"]);
        }
        learn_answers(&mut self.questions, &annotations["classifications"]);
    }

    /// `tools` and `classifications`, as Labelbox's own editor keeps them (labelbox 7.17.0: `schema/ontology.py`).
    pub(super) fn normalized(&self) -> Value {
        let tools = self.tools.items.iter().map(Tool::show);
        json!({ "tools": tools.collect::<Vec<_>>(), "classifications": show_all(&self.questions) })
    }
}

fn learn_answers(questions: &mut Named<Question>, answered: &Value) {
    for answered in list(answered) {
        let question = questions.at(name(answered), |name| Question::new(name, answered));
        for given in given_answers(answered) {
            let asked = &question.name;
            let answer = |name: &str| Answer::new(asked, name, given);
            let answer = question.answers.at(name(given), answer);
            learn_answers(&mut answer.questions, &given["classifications"]);
        }
    }
}

/// The answers that are taken from a list: one, any number, or none to a question that is answered in words.
fn given_answers(answered: &Value) -> impl Iterator<Item = &Value> {
    let one = Some(&answered["radio_answer"]).filter(|answer| answer.is_object());
    one.into_iter().chain(list(&answered["checklist_answers"]))
}

impl Tool {
    fn new(name: &str, object: &Value) -> Self {
        let kind = match object["annotation_kind"].as_str().unwrap_or_default() {
            kind if kind.ends_with("BoundingBox") => "rectangle",
            kind if kind.ends_with("Polygon") => "polygon",
            kind if kind.ends_with("Polyline") => "line",
            kind if kind.ends_with("Point") => "point",
            kind if kind.ends_with("Entity") => "named-entity",
            _ => "raster-segmentation",
        };
        Self {
            name: name.to_owned(),
            schema_id: schema_id(object, || tool_id(name)),
            kind,
            questions: Named::default(),
        }
    }

    fn show(&self) -> Value {
        json!({
            "schemaNodeId": format!("node-{}", self.name), "featureSchemaId": self.schema_id, "name": self.name,
            "tool": self.kind, "required": false, "color": "#ff0000",
            "classifications": show_all(&self.questions),
        })
    }
}

impl Question {
    fn new(name: &str, answered: &Value) -> Self {
        let kind = match answered {
            _ if answered["radio_answer"].is_object() => "radio",
            _ if answered["checklist_answers"].is_array() => "checklist",
            _ => "text",
        };
        Self {
            name: name.to_owned(),
            schema_id: schema_id(answered, || question_id(name)),
            kind,
            answers: Named::default(),
        }
    }

    fn show(&self) -> Value {
        let name = &self.name;
        let options = self.answers.items.iter().map(|answer| answer.show(name));
        json!({
            "schemaNodeId": format!("node-{name}"), "featureSchemaId": self.schema_id, "name": name,
            "instructions": name, "type": self.kind, "required": false, "scope": "global",
            "options": options.collect::<Vec<_>>(),
        })
    }
}

impl Answer {
    fn new(question: &str, name: &str, given: &Value) -> Self {
        Self {
            name: name.to_owned(),
            schema_id: schema_id(given, || option_id(question, name)),
            value: given["value"].as_str().unwrap_or(name).to_owned(),
            questions: Named::default(),
        }
    }

    fn show(&self, question: &str) -> Value {
        json!({
            "schemaNodeId": format!("node-{question}-{}", self.name), "featureSchemaId": self.schema_id,
            "label": self.name, "value": self.value, "options": show_all(&self.questions),
        })
    }
}

impl<T> Named<T> {
    /// What goes by that name; made now if it was not seen before.
    fn at(&mut self, name: &str, new: impl FnOnce(&str) -> T) -> &mut T {
        let known = self.places.get(name).copied();
        let at = known.unwrap_or_else(|| {
            self.items.push(new(name));
            self.places.insert(name.to_owned(), self.items.len() - 1);
            self.items.len() - 1
        });
        &mut self.items[at]
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            places: HashMap::new(),
        }
    }
}

fn show_all(questions: &Named<Question>) -> Vec<Value> {
    questions.items.iter().map(Question::show).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

fn schema_id(value: &Value, make: impl FnOnce() -> String) -> String {
    let given = value["feature_schema_id"].as_str();
    given.map_or_else(make, str::to_owned)
}
