//! Texts with their tokens, tags and answers, a line of JSON for each.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value, json};

use super::{
    ID, JsonLines,
    answers::Columns,
    card::{self, Configuration},
    tokens::{Entity, Token, tokens},
};
use crate::{
    config::Format,
    dataset::{Label, Ontology, Row, Split},
    formats::{
        FormatError, Note, Notes,
        classes::Entities,
        error::at,
        targets::{Item, open_own, unknown},
    },
};

/// A longer text is no text to learn from, in bytes.
const TEXT_LIMIT: u64 = 2 << 20;

/// Columns that the answers' must not be called like.
const TAKEN: [&str; 6] = [ID, "text", "tokens", "ner_tags", "starts", "ends"];

/// Writes a file of texts for each split.
#[derive(Debug)]
pub(in crate::formats) struct Texts {
    folder: PathBuf,
    columns: Columns,
    entities: Entities,
    splits: Vec<Split>,
    lines: Option<JsonLines>,
}

impl Texts {
    pub(in crate::formats) fn begin(data: &Path, ontology: &Ontology) -> Result<Self, FormatError> {
        let folder = data.join(Format::Hf.as_str());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self {
            folder,
            columns: Columns::of(ontology, &TAKEN),
            entities: Entities::of(ontology),
            splits: Vec::new(),
            lines: None,
        })
    }

    pub(in crate::formats) fn begin_split(&mut self, split: Split) -> Result<(), FormatError> {
        let path = self.folder.join(format!("{split}.jsonl"));
        self.lines = Some(JsonLines::begin(&path)?);
        self.splits.push(split);
        Ok(())
    }

    /// Writes a row; answers what is in the way, if it cannot be written.
    pub(in crate::formats) fn row(
        &mut self,
        item: &Item<'_>,
        data: &Path,
        notes: &mut Notes,
    ) -> Result<Option<Note>, FormatError> {
        let text = match text(item.row, data) {
            Ok(text) => text,
            Err(note) => return Ok(Some(note)),
        };
        let mut answers = Map::new();
        let mut note = |note| notes.add(note, item.id());
        self.columns.fill(&mut answers, item.label, &mut note);
        let tagged = !self.entities.is_empty();
        // Also where there are no tags: what was marked and is left out is told.
        let entities = self.entities_of(item, &mut note);
        let tokens = tagged.then(|| tokens(&text, entities, &mut note));
        let line = Line {
            id: item.id(),
            text: &text,
            tokens: tokens.as_deref(),
            entities: &self.entities,
            answers: &answers,
        };
        if let Some(lines) = &mut self.lines {
            lines.push(&line)?;
        }
        Ok(None)
    }

    fn entities_of(&self, item: &Item<'_>, note: &mut dyn FnMut(Note)) -> Vec<Entity> {
        let annotations = item.label.map(|Label { annotations }| annotations);
        let objects = annotations.into_iter().flat_map(|it| &it.objects);
        let mut entities = Vec::new();
        for object in objects {
            match (self.entities.number_of(object), object.location) {
                (Some(class), Some(location)) => entities.push(Entity { class, location }),
                (None, _) => note(unknown(object)),
                (_, None) if object.unreadable => note(Note::UnreadableObject),
                (_, None) => note(Note::OtherKind),
            }
        }
        entities
    }

    pub(in crate::formats) fn end_split(&mut self) -> Result<(), FormatError> {
        self.lines.take().map_or(Ok(()), JsonLines::finish)
    }

    pub(in crate::formats) fn finish(&mut self, notes: &mut Notes) -> Result<(), FormatError> {
        if self.columns.is_empty() && self.entities.is_empty() {
            notes.add(Note::NoClasses, Format::Hf.as_str());
        }
        let all = Configuration::default_of(&self.splits);
        card::write(
            &self.folder,
            Some(&self.features()),
            &[all],
            "{split}.jsonl",
        )
    }

    fn features(&self) -> Vec<Value> {
        let mut features = vec![card::plain(ID, "string"), card::plain("text", "string")];
        if !self.entities.is_empty() {
            let both = |class: &crate::formats::classes::Class<()>| {
                ["B", "I"].map(|place| format!("{place}-{}", class.name))
            };
            let tags: Vec<String> = self.entities.iter().flat_map(both).collect();
            let tags: Vec<&str> = std::iter::once("O")
                .chain(tags.iter().map(String::as_str))
                .collect();
            features.extend([
                card::list("tokens", &json!("string")),
                card::list("ner_tags", &card::class_type(&tags)),
                card::list("starts", &json!("int64")),
                card::list("ends", &json!("int64")),
            ]);
        }
        features.extend(self.columns.features());
        features
    }
}

/// A line of the file, written without being held a second time.
struct Line<'a> {
    id: &'a str,
    text: &'a str,
    tokens: Option<&'a [Token<'a>]>,
    entities: &'a Entities,
    answers: &'a Map<String, Value>,
}

impl Line<'_> {
    fn tag(&self, token: &Token<'_>) -> String {
        let Some((begins, class)) = token.tag else {
            return "O".to_owned();
        };
        let name = self.entities.get(class).map_or("", |class| &class.name);
        format!("{}-{name}", if begins { "B" } else { "I" })
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry(ID, self.id)?;
        line.serialize_entry("text", self.text)?;
        if let Some(tokens) = self.tokens {
            line.serialize_entry(
                "tokens",
                &Each(tokens, |token: &Token<'_>| token.text.to_owned()),
            )?;
            line.serialize_entry(
                "ner_tags",
                &Each(tokens, |token: &Token<'_>| self.tag(token)),
            )?;
            line.serialize_entry("starts", &Each(tokens, |token: &Token<'_>| token.start))?;
            line.serialize_entry("ends", &Each(tokens, |token: &Token<'_>| token.end))?;
        }
        for (column, answer) in self.answers {
            line.serialize_entry(column, answer)?;
        }
        line.end()
    }
}

/// Something of each token.
struct Each<'a, F>(&'a [Token<'a>], F);

impl<T: Serialize, F: Fn(&Token<'_>) -> T> Serialize for Each<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// A row's text: that of its file, or what stands in the row itself.
fn text(row: &Row, data: &Path) -> Result<String, Note> {
    let Some(path) = &row.data_row.local_path else {
        let own = row.data_row.row_data.as_ref();
        return own
            .filter(|text| !is_address(text))
            .cloned()
            .ok_or(Note::NoFile);
    };
    let file = open_own(data, path).ok_or(Note::NoFile)?;
    let mut content = Vec::new();
    let read = file.take(TEXT_LIMIT + 1).read_to_end(&mut content);
    let whole = read.is_ok_and(|length| length as u64 <= TEXT_LIMIT);
    let text = whole.then(|| String::from_utf8(content).ok()).flatten();
    text.ok_or(Note::UnreadableText)
}

/// Whether it is the address of a text and not a text.
fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let known = ["http", "https", "gs", "s3"];
    scheme.is_some_and(|scheme| known.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
        && !text.contains(char::is_whitespace)
}
