//! Answers to questions, in Labelbox's form or an easier one, and the questions below them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    feature::{Called, Choice, Named, Question, QuestionKind},
    line::{Rejection, quote, typed, wrong},
    write::{Object, string},
};

/// An answer from a list, or a question below something: the two share their keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Given<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    schema_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    confidence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    custom_metrics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    classifications: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "answers")]
    answer: Option<&'a RawValue>,
}

/// What goes with an answer.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    pub(super) confidence: Option<&'a RawValue>,
    pub(super) custom_metrics: Option<&'a RawValue>,
}

impl Beside<'_> {
    /// Checks both and writes those that are there.
    pub(super) fn write(self, object: &mut Object<'_>) -> Result<(), Rejection> {
        if let Some(raw) = self.confidence {
            check_confidence(raw)?;
            object.raw("confidence", raw);
        }
        if let Some(raw) = self.custom_metrics {
            check_custom_metrics(raw)?;
            object.raw("customMetrics", raw);
        }
        Ok(())
    }
}

fn check_confidence(raw: &RawValue) -> Result<(), Rejection> {
    let confidence: f64 = typed("confidence", raw)?;
    match (0.0..=1.0).contains(&confidence) {
        true => Ok(()),
        false => Err(Rejection::new(format!(
            "confidence must be from 0 to 1, not {confidence}"
        ))),
    }
}

fn check_custom_metrics(raw: &RawValue) -> Result<(), Rejection> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct CustomMetric {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "value")]
        _value: f64,
    }
    typed::<Vec<CustomMetric>>("customMetrics", raw).map(drop)
}

/// Checks the answer to a question and writes it, with what goes with it: beside it for a text, within it otherwise,
/// as the SDK does (captured from labelbox 7.17.0).
pub(super) fn write(
    question: &Question,
    raw: Option<&RawValue>,
    beside: Beside<'_>,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    let name = quote(&question.name);
    let raw = raw.ok_or_else(|| {
        Rejection::new(format!(
            "{name} is a question: a prediction of it needs an answer"
        ))
    })?;
    match question.kind {
        QuestionKind::Radio => {
            let given = given(raw, &name, "one answer")?;
            choose(question, &given, beside, object.key("answer")).map(drop)
        }
        QuestionKind::Checklist => write_checklist(question, raw, beside, object),
        QuestionKind::Text => {
            check_text(raw, &name)?;
            object.raw("answer", raw);
            beside.write(object)
        }
        QuestionKind::Unknown => {
            object.raw("answer", raw);
            beside.write(object)
        }
    }
}

/// An answer by its name alone, or an object with more to it.
fn given<'a>(raw: &'a RawValue, name: &str, wanted: &str) -> Result<Given<'a>, Rejection> {
    let text = raw.get();
    let is_name = text.starts_with('"');
    if !is_name && !text.starts_with('{') {
        let found = if text.starts_with('[') {
            ", not a list"
        } else {
            ""
        };
        return Err(Rejection::new(format!(
            "{name} takes {wanted} by its name, or as {{\"name\": …}}{found}"
        )));
    }
    if is_name {
        let name = super::line::text("answer", raw)?;
        return Ok(Given {
            name: Some(name),
            schema_id: None,
            confidence: None,
            custom_metrics: None,
            classifications: None,
            answer: None,
        });
    }
    serde_json::from_str(text).map_err(|error| wrong("answer", &error))
}

fn write_checklist(
    question: &Question,
    raw: &RawValue,
    beside: Beside<'_>,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    let name = quote(&question.name);
    if !raw.get().starts_with('[') {
        return Err(Rejection::new(format!("{name} takes a list of answers")));
    }
    let answers: Vec<&RawValue> =
        serde_json::from_str(raw.get()).map_err(|error| wrong("answer", &error))?;
    let out = object.key("answer");
    out.push(b'[');
    let mut chosen: Vec<*const Choice> = Vec::with_capacity(answers.len());
    for (at, raw) in answers.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let given = given(raw, &name, "answers, each")?;
        let choice = choose(question, &given, beside, out)?;
        if chosen.contains(&std::ptr::from_ref(choice)) {
            let text = format!("the answer {} is given twice", quote(&choice.name));
            return Err(Rejection::new(text));
        }
        chosen.push(choice);
    }
    out.push(b']');
    Ok(())
}

/// Finds the answer among those there are, and writes it.
fn choose<'q>(
    question: &'q Question,
    given: &Given<'_>,
    beside: Beside<'_>,
    out: &mut Vec<u8>,
) -> Result<&'q Choice, Rejection> {
    if given.answer.is_some() {
        return Err(Rejection::new(
            "answer: unknown key \"answer\" within an answer",
        ));
    }
    let (choice, called) = find(&question.choices, given, || {
        let names: Vec<&str> = question
            .choices
            .iter()
            .map(|choice| &*choice.name)
            .collect();
        let name = quote(&question.name);
        format!("{name} has no answer {{}}{}", those_there_are(&names))
    })?;
    let mut object = Object::begin(out);
    write_reference(&mut object, called, &choice.name, &choice.schema_id);
    let beside = Beside {
        confidence: given.confidence.or(beside.confidence),
        custom_metrics: given.custom_metrics.or(beside.custom_metrics),
    };
    beside.write(&mut object)?;
    if let Some(raw) = given.classifications {
        let of = format!("the answer {}", quote(&choice.name));
        write_below(&choice.questions, &of, raw, &mut object)?;
    }
    object.end();
    Ok(choice)
}

/// Checks the questions below an object or an answer, and writes them.
pub(super) fn write_below(
    questions: &Named<Question>,
    of: &str,
    raw: &RawValue,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    let given: Vec<Given<'_>> =
        serde_json::from_str(raw.get()).map_err(|error| wrong("classifications", &error))?;
    let out = object.key("classifications");
    out.push(b'[');
    for (at, given) in given.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if given.classifications.is_some() {
            let text = "classifications: those of an answer stand within the answer";
            return Err(Rejection::new(text));
        }
        let (question, called) = find(questions, &given, || {
            let names: Vec<&str> = questions.iter().map(|question| &*question.name).collect();
            format!("{of} has no question {{}}{}", those_there_are(&names))
        })?;
        let mut object = Object::begin(out);
        write_reference(&mut object, called, &question.name, &question.schema_id);
        let beside = Beside {
            confidence: given.confidence,
            custom_metrics: given.custom_metrics,
        };
        write(question, given.answer, beside, &mut object)?;
        object.end();
    }
    out.push(b']');
    Ok(())
}

/// `{}` of the sentence stands for what was asked for.
fn find<'q, T>(
    among: &'q Named<T>,
    given: &Given<'_>,
    sentence: impl FnOnce() -> String,
) -> Result<(&'q T, Called), Rejection> {
    let (found, asked) = match (&given.name, &given.schema_id) {
        (Some(name), None) => (among.by_any(name), name),
        (None, Some(id)) => {
            let found = among.by_schema_id(id);
            (found.map(|found| (found, Called::BySchemaId)), id)
        }
        (Some(_), Some(_)) => {
            return Err(Rejection::new("answer: give name or schemaId, not both"));
        }
        (None, None) => return Err(Rejection::new("answer: needs a name or a schemaId")),
    };
    found.ok_or_else(|| Rejection::new(sentence().replacen("{}", &quote(asked), 1)))
}

/// A name stands for itself, whatever form of it was written.
pub(super) fn write_reference(
    object: &mut Object<'_>,
    called: Called,
    name: &str,
    schema_id: &str,
) {
    match called {
        Called::ByName => string(object.key("name"), name),
        Called::BySchemaId => string(object.key("schemaId"), schema_id),
    }
}

/// `; there are: a, b, c`.
pub(super) fn those_there_are(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| quote(name)).collect();
    match names.len() {
        0 => "; there are none".to_owned(),
        1..=SHOWN => format!("; there are: {}", shown.join(", ")),
        _ => format!("; there are: {}…", shown.join(", ")),
    }
}

/// Words, or the words of a video's parts (labelbox 7.17.0: `serialization/ndjson/classification.py`).
fn check_text(raw: &RawValue, name: &str) -> Result<(), Rejection> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        #[serde(rename = "value")]
        _value: String,
        #[serde(rename = "frames")]
        _frames: Vec<Frames>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Frames {
        #[serde(rename = "start")]
        _start: u64,
        #[serde(rename = "end")]
        _end: u64,
    }
    let text = raw.get();
    let is_text = text.starts_with('"')
        || serde_json::from_str::<Vec<Part>>(text).is_ok_and(|p| !p.is_empty());
    match is_text {
        true => Ok(()),
        false => Err(Rejection::new(format!(
            "{name} is answered in words: answer must be a text"
        ))),
    }
}
