//! Images in folders, and a line of `metadata.jsonl` for each.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{ID, JsonLines, answers::Columns, card};
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

/// Writes folders of images.
#[derive(Debug)]
pub(in crate::formats) struct Images {
    folder: PathBuf,
    columns: Columns,
    classes: Vec<String>,
    splits: Vec<Split>,
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
            splits: Vec::new(),
            lines: None,
            file_name: String::new(),
            boxes: Vec::new(),
            categories: Vec::new(),
        })
    }

    fn features(&self) -> Vec<Value> {
        let mut features = vec![card::plain("image", "image"), card::plain(ID, "string")];
        features.extend(self.columns.features());
        if !self.classes.is_empty() {
            let classes: Vec<&str> = self.classes.iter().map(String::as_str).collect();
            let bounds = json!({ "name": "bbox", "list": { "list": "float64" } });
            let category = card::list("category", &card::class_type(&classes));
            features.push(json!({ "name": OBJECTS, "struct": [bounds, category] }));
        }
        features
    }
}

impl ImageTarget for Images {
    fn begin_split(&mut self, split: Split) -> Result<(), FormatError> {
        let folder = self.folder.join(split.as_str());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        self.lines = Some(JsonLines::begin(&folder.join("metadata.jsonl"))?);
        self.splits.push(split);
        Ok(())
    }

    fn image(&mut self, item: &Item<'_>, image: &Image) -> Result<(), FormatError> {
        let split = self.splits.last().map_or("", |split| split.as_str());
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

    fn end_image(&mut self, item: &Item<'_>) -> Result<(), FormatError> {
        let mut line = Map::new();
        line.insert(FILE_NAME.to_owned(), self.file_name.as_str().into());
        line.insert(ID.to_owned(), item.id().into());
        self.columns.fill(&mut line, item.label);
        if !self.classes.is_empty() {
            let objects = json!({ "bbox": self.boxes, "category": self.categories });
            line.insert(OBJECTS.to_owned(), objects);
        }
        match &mut self.lines {
            Some(lines) => lines.push(&line),
            None => Ok(()),
        }
    }

    fn end_split(&mut self) -> Result<(), FormatError> {
        self.lines.take().map_or(Ok(()), JsonLines::finish)
    }

    fn finish(&mut self, notes: &mut Notes) -> Result<(), FormatError> {
        if self.columns.is_empty() && self.classes.is_empty() {
            notes.add(Note::NoClasses, Format::Hf.as_str());
        }
        card::write(&self.folder, &self.features(), &self.splits, "{split}/**")
    }
}
