//! One line, held against the ontology and the rows.

use uuid::Uuid;

use super::{
    answer::{self, Beside, those_there_are, write_below, write_reference},
    feature::{Called, Drawing, Features, Question},
    line::{Key, Line, Rejection, quote, typed},
    metric, shape,
    write::Object,
};
use crate::dataset::{IndexedRow, Ontology, RowIndex};

/// What a prediction shows of its object; one of them, or two for neither.
const SHAPES: &[Key] = &[
    Key::Bbox,
    Key::Polygon,
    Key::Polyline,
    Key::Point,
    Key::Location,
    Key::TextSelections,
    Key::Mask,
    Key::Segments,
    Key::MessageEvaluationTask,
];

/// Passed on as they are: only Labelbox can judge them.
const PASSED_ON: &[Key] = &[
    Key::Frames,
    Key::MessageId,
    Key::Page,
    Key::Unit,
    Key::Group,
];

/// Holds lines against an ontology and the rows of a run.
#[derive(Debug)]
pub struct Checker<'a> {
    features: Features,
    rows: &'a RowIndex,
    /// Predictions of one row mostly follow each other.
    last: Option<FoundRow>,
}

/// A line that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The id that it brought along.
    pub uuid: Option<Uuid>,
    /// The number of its row.
    pub row: u32,
    /// The number of its feature; none for a metric.
    pub feature: Option<u32>,
}

/// A row, as it was asked for and as it was found.
#[derive(Debug)]
struct FoundRow {
    name: String,
    asked: RowName,
    found: RowName,
    row: IndexedRow,
}

/// Which of a row's names was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowName {
    Id,
    GlobalKey,
    /// Either of them.
    Any,
}

impl<'a> Checker<'a> {
    /// A checker for the predictions of one run.
    #[must_use]
    pub fn new(ontology: &Ontology, rows: &'a RowIndex) -> Self {
        Self {
            features: Features::of(ontology),
            rows,
            last: None,
        }
    }

    /// Checks a line and appends it to `out` as it is sent, but without a uuid. What is appended when it is rejected
    /// has no meaning.
    ///
    /// # Errors
    /// When Labelbox would not take it; never for what only all lines together show.
    pub fn check(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Checked, Rejection> {
        let line = Line::read(line)?;
        let uuid = line.text(Key::Uuid)?;
        let uuid = uuid.map(|text| match Uuid::try_parse(&text) {
            Ok(uuid) => Ok(uuid),
            Err(_) => Err(Rejection::new(format!("uuid: {} is no UUID", quote(&text)))),
        });
        let uuid = uuid.transpose()?;
        let mut object = Object::begin(out);
        let row = self.write_row(&line, &mut object)?;
        let feature = match metric::is_metric(&line) {
            true => {
                metric::write(&line, &self.features, &mut object)?;
                None
            }
            false => Some(self.write_prediction(&line, row, &mut object)?),
        };
        object.end();
        Ok(Checked {
            uuid,
            row: row.number,
            feature,
        })
    }

    fn write_row(
        &mut self,
        line: &Line<'_>,
        object: &mut Object<'_>,
    ) -> Result<IndexedRow, Rejection> {
        let (name, asked) = row_name(line)?;
        let known = |last: &&FoundRow| last.name == name && last.asked == asked;
        let (row, found) = match self.last.as_ref().filter(known) {
            Some(last) => (last.row, last.found),
            None => {
                let (row, found) = self.find_row(&name, asked).ok_or_else(|| {
                    Rejection::new(format!(
                        "data row {} is not in this model run",
                        quote(&name)
                    ))
                })?;
                self.last = Some(FoundRow {
                    name: name.to_string(),
                    asked,
                    found,
                    row,
                });
                (row, found)
            }
        };
        let key = match found {
            RowName::GlobalKey => "globalKey",
            RowName::Id | RowName::Any => "id",
        };
        let mut data_row = Object::begin(object.key("dataRow"));
        data_row.text(key, &name);
        data_row.end();
        Ok(row)
    }

    fn find_row(&self, name: &str, kind: RowName) -> Option<(IndexedRow, RowName)> {
        let by_id = || Some((self.rows.by_id(name)?, RowName::Id));
        let by_key = || Some((self.rows.by_global_key(name)?, RowName::GlobalKey));
        match kind {
            RowName::Id => by_id(),
            RowName::GlobalKey => by_key(),
            RowName::Any => by_id().or_else(by_key),
        }
    }

    fn write_prediction(
        &self,
        line: &Line<'_>,
        row: IndexedRow,
        object: &mut Object<'_>,
    ) -> Result<u32, Rejection> {
        let metric_keys = &[Key::FeatureName, Key::SubclassName, Key::Aggregation];
        if let Some(key) = line.present(metric_keys).next() {
            let text = format!(
                "{} belongs to a metric row, with a metricName",
                key.as_str()
            );
            return Err(Rejection::new(text));
        }
        match self.find_feature(line)? {
            Feature::Question(question, called) => {
                write_question(question, called, line, object)?;
                Ok(question.number)
            }
            Feature::Drawing(drawing, called) => {
                write_drawing(drawing, called, line, row, object)?;
                Ok(drawing.number)
            }
        }
    }

    /// An answer belongs to a question, all else to a tool: the two may share a name.
    fn find_feature(&self, line: &Line<'_>) -> Result<Feature<'_>, Rejection> {
        let (asked, by_id) = match (line.text(Key::Name)?, line.text(Key::SchemaId)?) {
            (Some(name), None) => (name, false),
            (None, Some(id)) => (id, true),
            (Some(_), Some(_)) => return Err(Rejection::new("give name or schemaId, not both")),
            (None, None) => return Err(Rejection::new("needs a name or a schemaId")),
        };
        let exactly = |called: Called| !by_id || called == Called::BySchemaId;
        let question = || {
            let found = match by_id {
                true => Some((
                    self.features.questions.by_schema_id(&asked)?,
                    Called::BySchemaId,
                )),
                false => self.features.questions.by_any(&asked),
            };
            let (question, called) = found.filter(|(_, called)| exactly(*called))?;
            Some(Feature::Question(question, called))
        };
        let drawing = || {
            let found = match by_id {
                true => Some((
                    self.features.tools.by_schema_id(&asked)?,
                    Called::BySchemaId,
                )),
                false => self.features.tools.by_any(&asked),
            };
            let (drawing, called) = found.filter(|(_, called)| exactly(*called))?;
            Some(Feature::Drawing(drawing, called))
        };
        let found = match line.get(Key::Answer) {
            Some(_) => question().or_else(drawing),
            None => drawing().or_else(question),
        };
        found.ok_or_else(|| {
            let there_are = those_there_are(&self.features.names());
            let asked = quote(&asked);
            Rejection::new(format!("the ontology has no feature {asked}{there_are}"))
        })
    }
}

enum Feature<'f> {
    Question(&'f Question, Called),
    Drawing(&'f Drawing, Called),
}

fn row_name<'l>(line: &Line<'l>) -> Result<(std::borrow::Cow<'l, str>, RowName), Rejection> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct DataRow<'a> {
        #[serde(borrow, default)]
        id: Option<std::borrow::Cow<'a, str>>,
        #[serde(borrow, default)]
        global_key: Option<std::borrow::Cow<'a, str>>,
    }
    let nested = match line.get(Key::DataRow) {
        None => None,
        Some(raw) => {
            let row = serde_json::from_str::<DataRow<'l>>(raw.get());
            let row = row.map_err(|error| super::line::wrong("dataRow", &error))?;
            Some(match (row.id, row.global_key) {
                (Some(id), None) => (id, RowName::Id),
                (None, Some(key)) => (key, RowName::GlobalKey),
                _ => {
                    return Err(Rejection::new(
                        "dataRow: needs an id or a globalKey, not both",
                    ));
                }
            })
        }
    };
    let any = line.text(Key::RowName)?.map(|name| (name, RowName::Any));
    let key = line.text(Key::GlobalName)?;
    let key = key.map(|key| (key, RowName::GlobalKey));
    let mut given = [nested, any, key].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(Rejection::new(
            "the data row is named twice: give one of dataRow, data_row, global_key",
        )),
        (None, _) => Err(Rejection::new(
            "no data row: give dataRow, data_row or global_key",
        )),
    }
}

fn beside<'l>(line: &Line<'l>) -> Beside<'l> {
    Beside {
        confidence: line.get(Key::Confidence),
        custom_metrics: line.get(Key::CustomMetrics),
    }
}

fn write_question(
    question: &Question,
    called: Called,
    line: &Line<'_>,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    if let Some(key) = line.present(SHAPES).next() {
        let (name, key) = (quote(&question.name), key.as_str());
        return Err(Rejection::new(format!(
            "{name} is a question and takes an answer, not {key}"
        )));
    }
    // The SDK sends an empty list of them with some answers.
    if let Some(raw) = line.get(Key::Classifications)
        && !typed::<Vec<serde::de::IgnoredAny>>("classifications", raw)?.is_empty()
    {
        let text = "classifications: those of an answer stand within the answer";
        return Err(Rejection::new(text));
    }
    write_reference(object, called, &question.name, &question.schema_id);
    answer::write(question, line.get(Key::Answer), beside(line), object)?;
    pass_on(line, object);
    Ok(())
}

fn write_drawing(
    drawing: &Drawing,
    called: Called,
    line: &Line<'_>,
    row: IndexedRow,
    object: &mut Object<'_>,
) -> Result<(), Rejection> {
    let shape = choose_shape(drawing, line)?;
    write_reference(object, called, &drawing.name, &drawing.schema_id);
    beside(line).write(object)?;
    match line.get(Key::Classifications) {
        Some(raw) => write_below(&drawing.questions, &quote(&drawing.name), raw, object)?,
        None => object.key("classifications").extend_from_slice(b"[]"),
    }
    // In documents, boxes are measured in units of their own.
    let measured = [Key::Page, Key::Unit]
        .iter()
        .all(|key| line.get(*key).is_none());
    if let Some(raw) = line.get(shape) {
        shape::write(shape, raw, row.size.filter(|_| measured), object)?;
    }
    pass_on(line, object);
    Ok(())
}

/// The one shape that a prediction of this tool must have.
fn choose_shape(drawing: &Drawing, line: &Line<'_>) -> Result<Key, Rejection> {
    let (name, kind) = (quote(&drawing.name), &drawing.kind);
    let takes = |wanted: &[Key]| {
        let words: Vec<&str> = wanted.iter().map(|key| key.as_str()).collect();
        format!("{name} is a {kind} tool and takes {}", words.join(" or "))
    };
    if line.get(Key::Answer).is_some() {
        let text = format!("{name} is a {kind} tool and takes no answer");
        return Err(Rejection::new(text));
    }
    let mut shapes = line.present(SHAPES);
    let wanted = drawing.shapes.unwrap_or(SHAPES);
    match (shapes.next(), shapes.next()) {
        (None, _) => Err(Rejection::new(format!(
            "{}, but there is none",
            takes(wanted)
        ))),
        (Some(one), Some(other)) => Err(Rejection::new(format!(
            "has both {} and {}",
            one.as_str(),
            other.as_str()
        ))),
        // Objects in videos are drawn frame by frame.
        (Some(only), None) if wanted.contains(&only) || only == Key::Segments => Ok(only),
        (Some(only), None) => Err(Rejection::new(format!(
            "{}, not {}",
            takes(wanted),
            only.as_str()
        ))),
    }
}

fn pass_on(line: &Line<'_>, object: &mut Object<'_>) {
    for key in line.present(PASSED_ON) {
        if let Some(raw) = line.get(key) {
            object.raw(key.as_str(), raw);
        }
    }
}
