//! Images in folders, and a line of `metadata.jsonl` for each.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{
    ID, JsonLines,
    answers::Columns,
    card::{self, Configuration},
};
use crate::{
    config::Format,
    dataset::{Ontology, Split},
    formats::{
        FormatError, Note, Notes,
        classes::Regions,
        error::at,
        image::Image,
        targets::{ImageTarget, Item, Region},
    },
};

/// From a folder of images back to the data folder.
const UP: &str = "../..";

/// The column that names a line's image.
const FILE_NAME: &str = "file_name";

/// The column with what is drawn on an image.
const OBJECTS: &str = "objects";

/// `datasets` takes the types of columns from so many bytes of a split's lines, and refuses splits that differ in them
/// (datasets 5.2.0: `folder_based_builder.py`).
const SAMPLE: u64 = 10 << 20;

/// What is known of a split that was written.
#[derive(Debug)]
struct Part {
    split: Split,
    /// Columns whose type can be told from the first lines.
    typed: BTreeSet<String>,
}

/// Writes folders of images.
#[derive(Debug)]
pub(in crate::formats) struct Images {
    folder: PathBuf,
    columns: Columns,
    classes: Vec<String>,
    parts: Vec<Part>,
    lines: Option<JsonLines>,
    file_name: String,
    boxes: Vec<[f64; 4]>,
    categories: Vec<String>,
}

impl Images {
    pub(in crate::formats) fn begin(
        data: &Path,
        ontology: &Ontology,
        regions: &Regions,
    ) -> Result<Self, FormatError> {
        let folder = data.join(Format::Hf.as_str());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self {
            folder,
            columns: Columns::of(ontology, &["image", FILE_NAME, ID, OBJECTS]),
            classes: regions.iter().map(|class| class.name.clone()).collect(),
            parts: Vec::new(),
            lines: None,
            file_name: String::new(),
            boxes: Vec::new(),
            categories: Vec::new(),
        })
    }

    /// The first split and those that look like it are loaded together, each other one by its own name.
    fn configurations(&self) -> Vec<Configuration> {
        let first = self.parts.first().map(|part| &part.typed);
        let alike = |part: &&Part| Some(&part.typed) == first;
        let together = self.parts.iter().filter(alike).map(|part| part.split);
        let together: Vec<Split> = together.collect();
        let apart = self.parts.iter().filter(|part| !alike(part));
        let apart = apart.map(|part| Configuration {
            name: part.split.to_string(),
            splits: vec![part.split],
        });
        std::iter::once(Configuration::default_of(&together))
            .chain(apart)
            .collect()
    }
}

impl Part {
    fn note_types(&mut self, line: &Map<String, Value>) {
        for (column, value) in line {
            if tells_type(value) && !self.typed.contains(column) {
                self.typed.insert(column.clone());
            }
        }
    }
}

fn tells_type(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(elements) => elements.iter().any(tells_type),
        Value::Object(fields) => fields.values().any(tells_type),
        _ => true,
    }
}

impl ImageTarget for Images {
    fn begin_split(&mut self, split: Split) -> Result<(), FormatError> {
        let folder = self.folder.join(split.as_str());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        self.lines = Some(JsonLines::begin(&folder.join("metadata.jsonl"))?);
        self.parts.push(Part {
            split,
            typed: BTreeSet::new(),
        });
        Ok(())
    }

    fn image(&mut self, item: &Item<'_>, image: &Image) -> Result<(), FormatError> {
        let split = self.parts.last().map_or("", |part| part.split.as_str());
        self.file_name = format!("{}.{}", item.stem(), image.extension);
        let link = self.folder.join(split).join(&self.file_name);
        symlink(Path::new(UP).join(&image.path), &link).map_err(at(&link))?;
        self.boxes.clear();
        self.categories.clear();
        Ok(())
    }

    fn region(&mut self, region: &Region<'_>, _notes: &mut Notes) -> Result<(), FormatError> {
        if let (Some(bounds), Some(class)) = (region.shape.bounds(), self.classes.get(region.class))
        {
            self.boxes
                .push([bounds.left, bounds.top, bounds.width, bounds.height]);
            self.categories.push(class.clone());
        }
        Ok(())
    }

    fn end_image(&mut self, item: &Item<'_>, notes: &mut Notes) -> Result<(), FormatError> {
        let mut line = Map::new();
        line.insert(FILE_NAME.to_owned(), self.file_name.as_str().into());
        line.insert(ID.to_owned(), item.id().into());
        let mut note = |note| notes.add(note, item.id());
        self.columns.fill(&mut line, item.label, &mut note);
        if !self.classes.is_empty() {
            let objects = json!({ "bbox": self.boxes, "category": self.categories });
            line.insert(OBJECTS.to_owned(), objects);
        }
        let (Some(lines), Some(part)) = (&mut self.lines, self.parts.last_mut()) else {
            return Ok(());
        };
        if lines.bytes()? < SAMPLE {
            part.note_types(&line);
        }
        lines.push(&line)
    }

    fn end_split(&mut self) -> Result<(), FormatError> {
        self.lines.take().map_or(Ok(()), JsonLines::finish)
    }

    fn finish(&mut self, notes: &mut Notes) -> Result<(), FormatError> {
        if self.columns.is_empty() && self.classes.is_empty() {
            notes.add(Note::NoClasses, Format::Hf.as_str());
        }
        let configurations = self.configurations();
        // The types of columns are taken from the lines alone here.
        card::write(&self.folder, None, &configurations, "{split}/**")
    }
}
