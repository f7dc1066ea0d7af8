//! From text to tables that know their lines.

use std::{ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Content, Mistake, Table, Value};

impl Table {
    /// Reads a whole file.
    ///
    /// # Errors
    /// The first place at which it is no TOML.
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let lines = Lines::of(text);
        let parsed = DeTable::parse(text).map_err(|error| Mistake {
            line: error.span().map_or(1, |span| lines.line_of(&span)),
            key: "syntax".to_owned(),
            text: error.message().replace('\n', "; "),
        })?;
        Ok(Self::build(String::new(), 1, parsed.get_ref(), &lines))
    }

    fn build(prefix: String, head: usize, table: &DeTable<'_>, lines: &Lines) -> Self {
        let mut built = Self {
            prefix,
            head,
            ..Self::default()
        };
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let line = lines.line_of(&key.span());
            let content = built.content(&name, line, value.get_ref(), lines);
            built.order.push(name.clone());
            built.values.insert(name, Value { line, content });
        }
        built
    }

    fn content(&self, name: &str, line: usize, value: &DeValue<'_>, lines: &Lines) -> Content {
        let element = |value: &Spanned<DeValue<'_>>| {
            let line = lines.line_of(&value.span());
            Value {
                line,
                content: self.content(name, line, value.get_ref(), lines),
            }
        };
        match value {
            DeValue::String(text) => Content::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Content::Other, Content::Integer),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or(Content::Other, Content::Float),
            DeValue::Boolean(value) => Content::Bool(*value),
            DeValue::Datetime(_) => Content::Other,
            DeValue::Array(elements) => Content::List(elements.iter().map(element).collect()),
            DeValue::Table(table) => {
                Content::Table(Self::build(self.path(name), line, table, lines))
            }
        }
    }
}

/// Where lines begin, to turn offsets into line numbers.
#[derive(Debug, Clone)]
struct Lines {
    starts: Arc<[usize]>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            starts: std::iter::once(0).chain(newlines).collect(),
        }
    }

    fn line_of(&self, span: &Range<usize>) -> usize {
        self.starts.partition_point(|start| *start <= span.start)
    }
}
