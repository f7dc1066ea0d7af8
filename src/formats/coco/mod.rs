//! COCO: a JSON file a split, with images, categories and annotations (cocodataset.org: data format).

mod results;

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    FormatError, Note, Notes,
    classes::Regions,
    error::at,
    image::Image,
    rle,
    shape::Shape,
    targets::{ImageTarget, Item, Region},
};
use crate::{
    config::Format,
    dataset::{Ontology, Split},
};

pub(super) use results::{RESULTS, read_results};

/// Writes COCO's files. Images come before annotations in a file and together with them from the rows, so annotations
/// wait in a file of their own until their split ends.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    info: Value,
    categories: Value,
    /// The number of the last annotation. Readers take 0 for none.
    last_annotation: u64,
    split: Option<SplitFiles>,
}

#[derive(Debug)]
struct SplitFiles {
    path: PathBuf,
    draft: PathBuf,
    main: List,
    waiting: PathBuf,
    annotations: List,
}

/// The elements of an array, without its brackets.
#[derive(Debug)]
struct List {
    file: BufWriter<File>,
    begun: bool,
}

#[derive(Serialize)]
struct ImageEntry<'a> {
    id: u64,
    file_name: &'a str,
    width: u32,
    height: u32,
    data_row_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_key: Option<&'a str>,
}

#[derive(Serialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: usize,
    bbox: [f64; 4],
    area: f64,
    segmentation: Value,
    /// Each object is one of its own; crowds are not drawn in Labelbox.
    iscrowd: u8,
}

/// The number of a class as COCO has it: readers take 0 for the background.
pub(super) const FIRST_CATEGORY: usize = 1;

impl Writer {
    pub(super) fn begin(
        data: &Path,
        ontology: &Ontology,
        regions: &Regions,
    ) -> Result<Self, FormatError> {
        let folder = data.join(Format::Coco.as_str());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let category = |(number, class): (usize, &super::classes::Class<_>)| {
            json!({
                "id": number + FIRST_CATEGORY, "name": class.name, "supercategory": class.tool.kind,
                "schema_id": class.tool.schema_id,
            })
        };
        Ok(Self {
            folder,
            info: json!({ "description": ontology.name, "version": "1.0" }),
            categories: regions.iter().enumerate().map(category).collect(),
            last_annotation: 0,
            split: None,
        })
    }

    fn in_split(
        &mut self,
        write: impl FnOnce(&mut SplitFiles) -> io::Result<()>,
    ) -> Result<(), FormatError> {
        match &mut self.split {
            Some(split) => write(split).map_err(at(&split.path)),
            None => Ok(()),
        }
    }
}

impl ImageTarget for Writer {
    fn begin_split(&mut self, split: Split) -> Result<(), FormatError> {
        let path = self.folder.join(format!("{split}.json"));
        let begun = SplitFiles::begin(path.clone(), &self.info, &self.categories);
        self.split = Some(begun.map_err(at(&path))?);
        Ok(())
    }

    fn image(&mut self, item: &Item<'_>, image: &Image) -> Result<(), FormatError> {
        let entry = ImageEntry {
            id: item.number,
            file_name: &image.path,
            width: image.size.width,
            height: image.size.height,
            data_row_id: item.id(),
            global_key: item.row.data_row.global_key.as_deref(),
        };
        self.in_split(|split| split.main.push(&entry))
    }

    fn region(&mut self, region: &Region<'_>, notes: &mut Notes) -> Result<(), FormatError> {
        let Some(bounds) = region.shape.bounds() else {
            return Ok(());
        };
        let Some(segmentation) = segmentation(region.shape) else {
            notes.add(Note::UnreadableMask, region.item.id());
            return Ok(());
        };
        self.last_annotation += 1;
        let annotation = Annotation {
            id: self.last_annotation,
            image_id: region.item.number,
            category_id: region.class + FIRST_CATEGORY,
            bbox: [bounds.left, bounds.top, bounds.width, bounds.height],
            area: region.shape.area(),
            segmentation,
            iscrowd: 0,
        };
        self.in_split(|split| split.annotations.push(&annotation))
    }

    fn end_image(&mut self, _item: &Item<'_>, _notes: &mut Notes) -> Result<(), FormatError> {
        Ok(())
    }

    fn end_split(&mut self) -> Result<(), FormatError> {
        match self.split.take() {
            Some(split) => {
                let path = split.path.clone();
                split.finish().map_err(at(&path))
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self, notes: &mut Notes) -> Result<(), FormatError> {
        if self.categories == json!([]) {
            notes.add(Note::NoClasses, Format::Coco.as_str());
        }
        Ok(())
    }
}

/// Polygons as lists of coordinates, masks as runs; none if the runs would be too many.
fn segmentation(shape: &Shape) -> Option<Value> {
    Some(match shape {
        Shape::Box(_) => json!([]),
        Shape::Polygons(rings) => {
            let flat = |ring: &super::shape::Ring| -> Value {
                ring.iter().flat_map(|point| [point.x, point.y]).collect()
            };
            rings.iter().map(flat).collect()
        }
        Shape::Mask(mask) => {
            let size = mask.size();
            json!({ "size": [size.height, size.width], "counts": rle::compressed(mask)? })
        }
    })
}

impl SplitFiles {
    fn begin(path: PathBuf, info: &Value, categories: &Value) -> io::Result<Self> {
        let (draft, waiting) = (
            path.with_extension("draft"),
            path.with_extension("annotations"),
        );
        let mut main = List::begin(&draft)?;
        write!(
            main.file,
            "{{\"info\": {info}, \"licenses\": [], \"categories\": {categories},\n\"images\": ["
        )?;
        Ok(Self {
            annotations: List::begin(&waiting)?,
            path,
            draft,
            main,
            waiting,
        })
    }

    fn finish(mut self) -> io::Result<()> {
        self.annotations.file.flush()?;
        let main = &mut self.main.file;
        main.write_all(b"\n],\n\"annotations\": [")?;
        io::copy(&mut BufReader::new(File::open(&self.waiting)?), main)?;
        main.write_all(b"\n]}\n")?;
        main.flush()?;
        fs::remove_file(&self.waiting)?;
        fs::rename(&self.draft, &self.path)
    }
}

impl List {
    fn begin(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::new(File::create(path)?),
            begun: false,
        })
    }

    fn push(&mut self, element: &impl Serialize) -> io::Result<()> {
        let before: &[u8] = if self.begun { b",\n" } else { b"\n" };
        self.begun = true;
        self.file.write_all(before)?;
        serde_json::to_writer(&mut self.file, element).map_err(io::Error::from)
    }
}
