//! One line as it was written: its known keys, each with its value as yet unread.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

/// Characters of what somebody wrote that a sentence repeats.
const QUOTE_LIMIT: usize = 60;

/// Deeper nesting is nobody's prediction.
const DEEPEST: usize = 64;

/// Why a line is not sent, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejection(String);

impl Rejection {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

macro_rules! keys {
    ($($name:ident = $text:literal,)+) => {
        /// A key that a line may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Key { $($name,)+ }

        impl Key {
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)+];

            pub(super) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            fn find(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

// Labelbox's own form (captured from labelbox 7.17.0), then what is easier to write.
keys! {
    Uuid = "uuid",
    DataRow = "dataRow",
    Name = "name",
    SchemaId = "schemaId",
    Confidence = "confidence",
    CustomMetrics = "customMetrics",
    Classifications = "classifications",
    Answer = "answer",
    Bbox = "bbox",
    Polygon = "polygon",
    Polyline = "line",
    Point = "point",
    Location = "location",
    Mask = "mask",
    TextSelections = "textSelections",
    Segments = "segments",
    Frames = "frames",
    MessageId = "messageId",
    Page = "page",
    Unit = "unit",
    Group = "groupKey",
    MessageEvaluationTask = "messageEvaluationTask",
    MetricName = "metricName",
    MetricValue = "metricValue",
    FeatureName = "featureName",
    SubclassName = "subclassName",
    Aggregation = "aggregation",
    RowName = "data_row",
    GlobalName = "global_key",
}

/// A line's known keys and their values; a null is as good as nothing.
#[derive(Debug)]
pub(super) struct Line<'a> {
    values: [Option<&'a RawValue>; Key::ALL.len()],
}

impl<'a> Line<'a> {
    /// Reads a line.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, Rejection> {
        let text = std::str::from_utf8(line).map_err(|_| Rejection::new("not UTF-8"))?;
        serde_json::from_str(text).map_err(|error| not_a_line(text, &error))
    }

    pub(super) fn get(&self, key: Key) -> Option<&'a RawValue> {
        self.values[key as usize]
    }

    /// The text of a key, if it is there.
    pub(super) fn text(&self, key: Key) -> Result<Option<Cow<'a, str>>, Rejection> {
        self.get(key).map(|raw| text(key.as_str(), raw)).transpose()
    }

    /// Those of `keys` that are there.
    pub(super) fn present(&self, keys: &'static [Key]) -> impl Iterator<Item = Key> {
        keys.iter().copied().filter(|key| self.get(*key).is_some())
    }
}

impl<'de> Deserialize<'de> for Line<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut line = Line {
            values: [None; Key::ALL.len()],
        };
        while let Some(Text(name)) = map.next_key()? {
            let value: &'de RawValue = map.next_value()?;
            // The SDK reads either word (labelbox 7.17.0: `serialization/ndjson/classification.py`).
            let key = match &*name {
                "answers" => Some(Key::Answer),
                other => Key::find(other),
            };
            let Some(key) = key else {
                return Err(A::Error::custom(format!("unknown key {}", quote(&name))));
            };
            if is_deep(value.get()) {
                return Err(A::Error::custom(format!("{name} is nested too deeply")));
            }
            let place = &mut line.values[key as usize];
            if place.is_some() {
                return Err(A::Error::custom(format!("{name} stands twice")));
            }
            *place = (value.get() != "null").then_some(value);
        }
        Ok(line)
    }
}

/// Whether a value nests deeper than any reader of it would follow.
fn is_deep(json: &str) -> bool {
    if !json.starts_with(['{', '[']) {
        return false;
    }
    let (mut depth, mut within_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => within_text = !within_text,
            _ if within_text => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// A text that is copied only if it has to be.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text that stands at `key`.
pub(super) fn text<'a>(key: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, Rejection> {
    match serde_json::from_str::<Text<'a>>(raw.get()) {
        Ok(Text(text)) => Ok(text),
        Err(error) => Err(wrong(key, &error)),
    }
}

/// What stands at `key`, of a given shape.
pub(super) fn typed<T: DeserializeOwned>(key: &str, raw: &RawValue) -> Result<T, Rejection> {
    serde_json::from_str(raw.get()).map_err(|error| wrong(key, &error))
}

/// A value of another shape than `key` has.
pub(super) fn wrong(key: &str, error: &serde_json::Error) -> Rejection {
    Rejection(format!("{key}: {}", without_place(error)))
}

/// Text of somebody else's within a sentence: short, on one line.
pub(super) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE_LIMIT) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

fn not_a_line(text: &str, error: &serde_json::Error) -> Rejection {
    if error.classify() == Category::Data {
        return Rejection(without_place(error));
    }
    let place = format!("column {}", error.column());
    let what = without_place(error);
    let hint = match ["NaN", "Infinity"]
        .into_iter()
        .find(|word| text.contains(word))
    {
        Some(word) => format!(": {word} is no number in JSON"),
        None => String::new(),
    };
    Rejection(format!("not JSON: {what} at {place}{hint}"))
}

/// The position is one within a value, and helps nobody.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map(|(what, _)| what);
    in_plain_words(what.unwrap_or(&text))
}

/// The parser names what it found and wanted by types of this program.
fn in_plain_words(text: &str) -> String {
    let Some((found, wanted)) = text.rsplit_once(", expected ") else {
        return text.to_owned();
    };
    let found = match found {
        "invalid type: sequence" => "invalid type: a list",
        "invalid type: map" => "invalid type: an object",
        other => other,
    };
    let wanted = match wanted {
        "f64" => "a number",
        "u64" | "u32" => "a whole number from 0",
        "a sequence" => "a list",
        structure if structure.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{found}, expected {wanted}")
}
