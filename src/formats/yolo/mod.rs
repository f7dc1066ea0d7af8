//! YOLO as ultralytics reads it: images and labels in folders side by side, and a `data.yaml` (docs.ultralytics.com:
//! detection and segmentation datasets).

mod numbers;
mod results;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::{
    FormatError, Note, Notes, Size,
    classes::Regions,
    error::at,
    image::Image,
    outline,
    shape::{Ring, Shape},
    targets::{ImageTarget, Item, Region},
    yaml,
};
use crate::{
    config::Format,
    dataset::{BoundingBox, Split},
};

pub(super) use results::{LABELS, read_labels};

/// From a folder of images back to the data folder.
const UP: &str = "../../..";

/// Writes YOLO's folders: each image is a link to the row's file, its labels lie in a text file of the same name.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    names: Vec<String>,
    /// Whether labels are outlines; boxes otherwise.
    outlines: bool,
    split: Option<Split>,
    /// Those for which an image was written: a row that was read may have been left out.
    splits: BTreeSet<Split>,
    labels: Option<(PathBuf, BufWriter<File>)>,
}

impl Writer {
    pub(super) fn begin(data: &Path, regions: &Regions) -> Result<Self, FormatError> {
        let folder = data.join(Format::Yolo.as_str());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        Ok(Self {
            folder,
            names: regions.iter().map(|class| class.name.clone()).collect(),
            outlines: regions.have_outlines(),
            split: None,
            splits: BTreeSet::new(),
            labels: None,
        })
    }

    fn make_folders(&self, split: Split) -> Result<(), FormatError> {
        for part in ["images", "labels"] {
            let folder = self.folder.join(part).join(split.as_str());
            fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        Ok(())
    }

    /// What is trained on: where nobody has assigned rows for training, those without a split.
    fn training(&self) -> Split {
        let stands_in =
            !self.splits.contains(&Split::Training) && self.splits.contains(&Split::Unassigned);
        if stands_in {
            Split::Unassigned
        } else {
            Split::Training
        }
    }

    /// Without a folder to look for, which is the one that the file lies in.
    fn yaml(&self, training: Split, validation: Split) -> String {
        let mut yaml = String::new();
        if training != Split::Training {
            yaml.push_str("# no row is for training: those without a split stand in\n");
        }
        if validation != Split::Validation {
            yaml.push_str("# no row is for validation: what is trained on stands in\n");
        }
        let folders = [
            ("train", training),
            ("val", validation),
            ("test", Split::Test),
        ];
        for (key, split) in folders {
            if key != "test" || self.splits.contains(&split) {
                let _ = writeln!(yaml, "{key}: images/{split}");
            }
        }
        let _ = writeln!(yaml, "nc: {}", self.names.len());
        yaml.push_str(if self.names.is_empty() {
            "names: {}\n"
        } else {
            "names:\n"
        });
        for (number, name) in self.names.iter().enumerate() {
            let _ = writeln!(yaml, "  {number}: {}", yaml::text(name));
        }
        yaml
    }
}

impl ImageTarget for Writer {
    fn begin_split(&mut self, split: Split) -> Result<(), FormatError> {
        self.split = Some(split);
        self.make_folders(split)
    }

    fn image(&mut self, item: &Item<'_>, image: &Image) -> Result<(), FormatError> {
        let split = self.split.unwrap_or(Split::Unassigned);
        self.splits.insert(split);
        let (stem, target) = (item.stem(), Path::new(UP).join(&image.path));
        let link = self
            .folder
            .join(format!("images/{split}/{stem}.{}", image.extension));
        symlink(target, &link).map_err(at(&link))?;
        let labels = self.folder.join(format!("labels/{split}/{stem}.txt"));
        let file = File::create(&labels).map_err(at(&labels))?;
        self.labels = Some((labels, BufWriter::new(file)));
        Ok(())
    }

    fn region(&mut self, region: &Region<'_>, notes: &mut Notes) -> Result<(), FormatError> {
        let size = region.image.size;
        let numbers = if self.outlines {
            outline_of(region.shape, size)
        } else {
            box_of(region.shape, size)
        };
        let (numbers, cut) = match numbers {
            Ok(found) => found,
            Err(note) => {
                notes.add(note, region.item.id());
                return Ok(());
            }
        };
        if cut {
            notes.add(Note::Outside, region.item.id());
        }
        let Some((path, file)) = &mut self.labels else {
            return Ok(());
        };
        let mut line = region.class.to_string();
        for number in numbers {
            let _ = write!(line, " {number:.6}");
        }
        line.push('\n');
        file.write_all(line.as_bytes()).map_err(at(path))
    }

    fn end_image(&mut self, _item: &Item<'_>, _notes: &mut Notes) -> Result<(), FormatError> {
        match self.labels.take() {
            Some((path, mut file)) => file.flush().map_err(at(&path)),
            None => Ok(()),
        }
    }

    fn end_split(&mut self) -> Result<(), FormatError> {
        self.split = None;
        Ok(())
    }

    fn finish(&mut self, notes: &mut Notes) -> Result<(), FormatError> {
        if self.names.is_empty() {
            notes.add(Note::NoClasses, Format::Yolo.as_str());
        }
        let training = self.training();
        // Whatever the file names must be there, even where it is empty.
        self.make_folders(training)?;
        let validation = if self.splits.contains(&Split::Validation) {
            Split::Validation
        } else {
            notes.add(Note::NoValidation, Format::Yolo.as_str());
            training
        };
        let path = self.folder.join("data.yaml");
        fs::write(&path, self.yaml(training, validation)).map_err(at(&path))
    }
}

/// Numbers from 0 to 1, and whether something was cut off.
type Numbers = (Vec<f64>, bool);

/// The centre and the sides of the smallest box.
fn box_of(shape: &Shape, size: Size) -> Result<Numbers, Note> {
    let BoundingBox {
        top,
        left,
        height,
        width,
    } = shape.bounds().ok_or(Note::NoExtent)?;
    let (right, bottom) = (left + width, top + height);
    let (mut cut, across, down) = (false, f64::from(size.width), f64::from(size.height));
    let mut side = |place: f64, length: f64| {
        cut |= !(0.0..=length).contains(&place);
        place.clamp(0.0, length) / length
    };
    let (left, right) = (side(left, across), side(right, across));
    let (top, bottom) = (side(top, down), side(bottom, down));
    if left >= right || top >= bottom {
        return Err(Note::NoExtent);
    }
    let centre = |from: f64, to: f64| f64::midpoint(from, to);
    let numbers = [
        centre(left, right),
        centre(top, bottom),
        right - left,
        bottom - top,
    ];
    Ok((numbers.to_vec(), cut))
}

/// The points of one line around all of it.
fn outline_of(shape: &Shape, size: Size) -> Result<Numbers, Note> {
    let ring: Ring = match shape {
        Shape::Box(bounds) => super::shape::corners(bounds),
        Shape::Polygons(rings) => outline::joined(rings.clone()),
        Shape::Mask(mask) => outline::joined(outline::rings(mask).ok_or(Note::UnreadableMask)?),
    };
    // What lies beyond the image altogether has no extent within.
    box_of(&Shape::Polygons(vec![ring.clone()]), size)?;
    let (mut cut, across, down) = (false, f64::from(size.width), f64::from(size.height));
    let mut side = |place: f64, length: f64| {
        cut |= !(0.0..=length).contains(&place);
        place.clamp(0.0, length) / length
    };
    let numbers = ring
        .iter()
        .flat_map(|point| [side(point.x, across), side(point.y, down)]);
    let numbers = numbers.collect();
    Ok((numbers, cut))
}
