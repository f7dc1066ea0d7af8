//! A table of the file with its positions, handed to executors that read their own settings.

mod getters;
mod parse;
mod spelling;
mod value;

use std::collections::BTreeMap;

pub(super) use value::{Content, Value};

/// One mistake of `models.toml`: where, which key, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {text}")]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The key with its tables: `models.digits.command`.
    pub key: String,
    /// What is wrong and what to do, in lower case.
    pub text: String,
}

/// A table of `models.toml` that remembers where each key stands.
///
/// Each getter takes its key out of the table; a value of the wrong form becomes a [`Mistake`] with its
/// line, and the getter answers none. [`Table::finish`] adds a mistake for every key that nobody took.
///
/// ```
/// # use trainhook::config::{Mistake, Table};
/// fn build(table: &mut Table) -> Result<String, Vec<Mistake>> {
///     let partition = table.required_string("partition");
///     let patience = table.duration("patience");
///     match (partition, table.finish()) {
///         (Some(partition), mistakes) if mistakes.is_empty() => Ok(format!("{partition} {patience:?}")),
///         (_, mistakes) => Err(mistakes),
///     }
/// }
/// let mut table = Table::parse("partition = \"a100\"\npatiense = \"2h\"").unwrap();
/// let mistakes = build(&mut table).unwrap_err();
/// assert_eq!(mistakes[0].to_string(), "line 2: patiense: unknown key; did you mean `patience`?");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Table {
    prefix: String,
    head: usize,
    values: BTreeMap<String, Value>,
    order: Vec<String>,
    taken: BTreeMap<String, usize>,
    asked: Vec<String>,
    mistakes: Vec<Mistake>,
}

impl Table {
    /// The key with its tables.
    fn path(&self, key: &str) -> String {
        if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.prefix)
        }
    }

    /// The keys that nobody has taken yet, in the order of the file.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.order
            .iter()
            .map(String::as_str)
            .filter(|key| self.values.contains_key(*key))
    }

    /// Whether the key is there and not taken yet.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// The line of a key that is not taken yet.
    #[must_use]
    pub fn line(&self, key: &str) -> Option<usize> {
        self.values.get(key).map(|value| value.line)
    }

    /// Notes a mistake at `key`, or at the table's head if the key is not there.
    pub fn mistake(&mut self, key: &str, text: impl Into<String>) {
        let line = self
            .values
            .get(key)
            .map(|value| value.line)
            .or_else(|| self.taken.get(key).copied());
        self.mistakes.push(Mistake {
            line: line.unwrap_or(self.head),
            key: self.path(key),
            text: text.into(),
        });
    }

    /// What nobody has taken yet, without its lines.
    pub(super) fn plain(self) -> toml::Table {
        let entries = self.values.into_iter();
        entries
            .map(|(key, value)| (key, value.content.plain()))
            .collect()
    }

    /// What nobody has taken yet, to be kept: [`Table::of_json`] brings it back, without its lines.
    #[must_use]
    pub fn as_json(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self.clone().plain()) {
            Ok(serde_json::Value::Object(map)) => map,
            // Tables of texts, numbers and lists always have a form in JSON.
            _ => serde_json::Map::new(),
        }
    }

    /// A table as [`Table::as_json`] has kept it.
    #[must_use]
    pub fn of_json(map: &serde_json::Map<String, serde_json::Value>) -> Self {
        let value =
            |(key, value): (&String, &serde_json::Value)| (key.clone(), Value::of_json(value));
        Self {
            values: map.iter().map(value).collect(),
            order: map.keys().cloned().collect(),
            ..Self::default()
        }
    }

    /// Takes over the mistakes of a table that was taken out of this one, unknown keys included.
    pub fn adopt(&mut self, mut table: Self) {
        self.mistakes.append(&mut table.finish());
    }

    /// Whether the key stood in the table, taken or not.
    pub(crate) fn was_given(&self, key: &str) -> bool {
        self.has(key) || self.taken.contains_key(key)
    }

    /// Takes over mistakes that were found elsewhere.
    pub(super) fn add(&mut self, mut mistakes: Vec<Mistake>) {
        self.mistakes.append(&mut mistakes);
    }

    /// Takes the mistakes so far; what nobody has taken yet is not judged.
    pub(crate) fn take_mistakes(&mut self) -> Vec<Mistake> {
        std::mem::take(&mut self.mistakes)
    }

    /// Takes all mistakes, those for unknown keys included, in the order of the file.
    pub fn finish(&mut self) -> Vec<Mistake> {
        let unknown: Vec<String> = self.keys().map(str::to_owned).collect();
        for key in unknown {
            let text = match spelling::nearest(&key, &self.asked) {
                Some(near) if !self.taken.contains_key(near) => {
                    format!("unknown key; did you mean `{near}`?")
                }
                _ if self.asked.is_empty() => "unknown key; none are known here".to_owned(),
                _ => format!("unknown key; only these are known here: {}", self.known()),
            };
            self.mistake(&key, text);
            self.values.remove(&key);
        }
        let mut mistakes = std::mem::take(&mut self.mistakes);
        mistakes.sort_by_key(|mistake| mistake.line);
        mistakes
    }

    fn known(&self) -> String {
        let mut known: Vec<&str> = self.asked.iter().map(String::as_str).collect();
        known.sort_unstable();
        known.dedup();
        known.join(", ")
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.push(key.to_owned());
        let value = self.values.remove(key)?;
        self.taken.insert(key.to_owned(), value.line);
        Some(value)
    }

    fn take_as<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl FnOnce(Content) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let found = value.content.describe();
        let read = read(value.content);
        if read.is_none() {
            let same = wanted.starts_with(found);
            let text = if same {
                format!("must be {wanted}")
            } else {
                format!("must be {wanted}, not {found}")
            };
            self.mistake(key, text);
        }
        read
    }
}
