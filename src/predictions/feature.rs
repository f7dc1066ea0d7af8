//! The ontology as lines are held against it: every name found at once, however many there are.

use std::collections::HashMap;

use super::line::Key;
use crate::dataset::{AnswerOption, Classification, Ontology, Tool};

/// How a line called something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    ByName,
    BySchemaId,
}

/// Things that have a name and a schema id.
#[derive(Debug)]
pub(super) struct Named<T> {
    things: Vec<T>,
    by_name: HashMap<String, usize>,
    by_schema_id: HashMap<String, usize>,
}

impl<T> Named<T> {
    fn collect<S>(
        from: &[S],
        names: impl Fn(&S) -> Vec<&String>,
        schema_id: impl Fn(&S) -> &String,
        make: impl FnMut(&S) -> T,
    ) -> Self {
        let (mut by_name, mut by_schema_id) = (HashMap::new(), HashMap::new());
        // The full name of one thing comes before the short form of another.
        let most = from.iter().map(|thing| names(thing).len()).max();
        for form in 0..most.unwrap_or_default() {
            for (at, thing) in from.iter().enumerate() {
                if let Some(name) = names(thing).get(form) {
                    by_name.entry((*name).clone()).or_insert(at);
                }
            }
        }
        for (at, thing) in from.iter().enumerate() {
            by_schema_id.entry(schema_id(thing).clone()).or_insert(at);
        }
        Self {
            things: from.iter().map(make).collect(),
            by_name,
            by_schema_id,
        }
    }

    /// What goes by that name, or else by that schema id.
    pub(super) fn by_any(&self, name_or_id: &str) -> Option<(&T, Called)> {
        let named = self.by_name.get(name_or_id);
        let named = named.and_then(|at| Some((self.things.get(*at)?, Called::ByName)));
        named.or_else(|| Some((self.by_schema_id(name_or_id)?, Called::BySchemaId)))
    }

    /// What has that schema id.
    pub(super) fn by_schema_id(&self, schema_id: &str) -> Option<&T> {
        self.things.get(*self.by_schema_id.get(schema_id)?)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.things.iter()
    }
}

/// What may be predicted.
#[derive(Debug)]
pub(super) struct Features {
    pub(super) tools: Named<Drawing>,
    pub(super) questions: Named<Question>,
}

/// A tool.
#[derive(Debug)]
pub(super) struct Drawing {
    /// One of its own among all features.
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) schema_id: String,
    /// Labelbox's word.
    pub(super) kind: String,
    /// What a prediction of it has; none where that is not known.
    pub(super) shapes: Option<&'static [Key]>,
    pub(super) questions: Named<Question>,
}

/// A classification.
#[derive(Debug)]
pub(super) struct Question {
    /// One of its own among all features; of no meaning below another one.
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) schema_id: String,
    pub(super) kind: QuestionKind,
    pub(super) choices: Named<Choice>,
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuestionKind {
    Radio,
    Checklist,
    Text,
    /// In a way that only Labelbox can judge.
    Unknown,
}

/// An answer that may be given.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) name: String,
    pub(super) schema_id: String,
    pub(super) questions: Named<Question>,
}

impl Features {
    pub(super) fn of(ontology: &Ontology) -> Self {
        let mut number = 0..;
        let mut next = || number.next().unwrap_or_default();
        let tools = Named::collect(
            &ontology.tools,
            |tool| vec![&tool.name],
            |tool| &tool.schema_id,
            |tool| drawing(tool, next()),
        );
        let questions = questions(&ontology.classifications, &mut next);
        Self { tools, questions }
    }

    /// Whether anything goes by that name or schema id, however deep: a feature, a question about it, or an answer.
    pub(super) fn know(&self, name_or_id: &str) -> bool {
        self.tools.by_any(name_or_id).is_some()
            || asks(&self.questions, name_or_id)
            || (self.tools.iter()).any(|tool| asks(&tool.questions, name_or_id))
    }

    /// The names of all of them, for a sentence.
    pub(super) fn names(&self) -> Vec<&str> {
        let tools = self.tools.iter().map(|tool| tool.name.as_str());
        let questions = self.questions.iter();
        tools
            .chain(questions.map(|question| question.name.as_str()))
            .collect()
    }
}

fn asks(questions: &Named<Question>, name_or_id: &str) -> bool {
    let answers = |question: &Question| {
        let choices = &question.choices;
        choices.by_any(name_or_id).is_some()
            || (choices.iter()).any(|choice| asks(&choice.questions, name_or_id))
    };
    questions.by_any(name_or_id).is_some() || questions.iter().any(answers)
}

fn drawing(tool: &Tool, number: u32) -> Drawing {
    Drawing {
        number,
        name: tool.name.clone(),
        schema_id: tool.schema_id.clone(),
        kind: tool.kind.clone(),
        shapes: shapes(&tool.kind),
        questions: questions(&tool.classifications, &mut || 0),
    }
}

/// What Labelbox's tools draw, by its words for them (labelbox 7.17.0: `schema/ontology.py`).
fn shapes(kind: &str) -> Option<&'static [Key]> {
    Some(match kind {
        "rectangle" => &[Key::Bbox],
        "polygon" => &[Key::Polygon],
        "line" => &[Key::Polyline],
        "point" => &[Key::Point],
        "named-entity" => &[Key::Location, Key::TextSelections],
        "raster-segmentation" | "superpixel" => &[Key::Mask],
        _ => return None,
    })
}

fn questions(from: &[Classification], next: &mut impl FnMut() -> u32) -> Named<Question> {
    Named::collect(
        from,
        |question| vec![&question.name],
        |question| &question.schema_id,
        |question| Question {
            number: next(),
            name: question.name.clone(),
            schema_id: question.schema_id.clone(),
            kind: match question.kind.trim_start_matches("response-") {
                "radio" => QuestionKind::Radio,
                "checklist" => QuestionKind::Checklist,
                "text" | "prompt" => QuestionKind::Text,
                _ => QuestionKind::Unknown,
            },
            choices: choices(&question.options),
        },
    )
}

fn choices(from: &[AnswerOption]) -> Named<Choice> {
    Named::collect(
        from,
        |option| vec![&option.name, &option.value],
        |option| &option.schema_id,
        |option| Choice {
            name: option.name.clone(),
            schema_id: option.schema_id.clone(),
            questions: questions(&option.classifications, &mut || 0),
        },
    )
}
