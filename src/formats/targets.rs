//! What each row goes into.

use std::{fs::File, path::Path};

use super::{
    FormatError, Note, Notes, Write,
    classes::Regions,
    coco, hf,
    image::{Image, stays},
    mask,
    medium::Medium,
    shape::{Shape, opened},
    yolo,
};
use crate::{
    config::Format,
    dataset::{Label, Mask, Object, Row, Split},
};

/// A row on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) number: u64,
    pub(super) row: &'a Row,
    /// What the first labeller said.
    pub(super) label: Option<&'a Label>,
}

/// An object on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region<'a> {
    /// The number of its class.
    pub(super) class: usize,
    pub(super) shape: &'a Shape,
    pub(super) image: &'a Image,
    pub(super) item: &'a Item<'a>,
}

/// A format of images. Calls come in this order: a split begins; an image, its regions, the image's end, and so on; the
/// split ends; at last, it is finished.
pub(super) trait ImageTarget {
    fn begin_split(&mut self, split: Split) -> Result<(), FormatError>;
    fn image(&mut self, item: &Item<'_>, image: &Image) -> Result<(), FormatError>;
    fn region(&mut self, region: &Region<'_>, notes: &mut Notes) -> Result<(), FormatError>;
    fn end_image(&mut self, item: &Item<'_>, notes: &mut Notes) -> Result<(), FormatError>;
    fn end_split(&mut self) -> Result<(), FormatError>;
    fn finish(&mut self, notes: &mut Notes) -> Result<(), FormatError>;
}

/// All formats that are being written.
pub(super) enum Targets<'a> {
    Images {
        data: &'a Path,
        regions: Regions,
        targets: Vec<Box<dyn ImageTarget>>,
    },
    Texts {
        data: &'a Path,
        target: Option<hf::Texts>,
    },
}

impl<'a> Item<'a> {
    pub(super) fn new(number: u64, row: &'a Row) -> Self {
        let label = row.labels().next();
        Self { number, row, label }
    }

    pub(super) fn id(&self) -> &'a str {
        &self.row.data_row.id
    }

    /// The name of its files, which is the image's number for readers of COCO as well.
    pub(super) fn stem(&self) -> String {
        format!("{:012}", self.number)
    }
}

impl<'a> Targets<'a> {
    /// Makes the folders.
    pub(super) fn begin(wanted: &Write<'a>) -> Result<Self, FormatError> {
        let (data, medium) = (wanted.data, Medium::of(wanted)?);
        if let Some(format) = wanted
            .formats
            .iter()
            .find(|format| !suits(**format, &medium))
        {
            return Err(FormatError::OtherMedium {
                format: *format,
                media: medium.as_str().to_owned(),
            });
        }
        if medium != Medium::Images {
            let wanted_hf = wanted.formats.contains(&Format::Hf);
            let target = wanted_hf.then(|| hf::Texts::begin(data, wanted.ontology));
            let target = target.transpose()?;
            return Ok(Self::Texts { data, target });
        }
        let regions = Regions::of(wanted.ontology);
        let mut targets: Vec<Box<dyn ImageTarget>> = Vec::new();
        for format in Format::ALL
            .iter()
            .filter(|format| wanted.formats.contains(format))
        {
            targets.push(match format {
                Format::Coco => Box::new(coco::Writer::begin(data, wanted.ontology, &regions)?),
                Format::Yolo => Box::new(yolo::Writer::begin(data, &regions)?),
                Format::Hf => Box::new(hf::Images::begin(data, wanted.ontology, &regions)?),
            });
        }
        Ok(Self::Images {
            data,
            regions,
            targets,
        })
    }

    pub(super) fn begin_split(&mut self, split: Split) -> Result<(), FormatError> {
        match self {
            Self::Images { targets, .. } => each(targets, |target| target.begin_split(split)),
            Self::Texts { target, .. } => each(target, |target| target.begin_split(split)),
        }
    }

    /// Writes a row; answers whether it could be written.
    pub(super) fn row(&mut self, item: &Item<'_>, notes: &mut Notes) -> Result<bool, FormatError> {
        if let Some(note) = untold(item) {
            notes.add(note, item.id());
            return Ok(false);
        }
        note_labels(item, notes);
        let left_out = match self {
            Self::Texts { target: None, .. } => None,
            Self::Texts {
                data,
                target: Some(target),
            } => target.row(item, data, notes)?,
            Self::Images {
                data,
                regions,
                targets,
            } => match Image::of(item.row, &|path| open_own(data, path)) {
                Err(note) => Some(note),
                Ok(image) => {
                    image_row(data, regions, targets, (item, &image), notes)?;
                    None
                }
            },
        };
        if let Some(note) = left_out {
            notes.add(note, item.id());
        }
        Ok(left_out.is_none())
    }

    pub(super) fn end_split(&mut self) -> Result<(), FormatError> {
        match self {
            Self::Images { targets, .. } => each(targets, |target| target.end_split()),
            Self::Texts { target, .. } => each(target, hf::Texts::end_split),
        }
    }

    pub(super) fn finish(&mut self, notes: &mut Notes) -> Result<(), FormatError> {
        match self {
            Self::Images { targets, .. } => each(targets, |target| target.finish(notes)),
            Self::Texts { target, .. } => each(target, |target| target.finish(notes)),
        }
    }
}

/// Why nobody knows what is in a row that somebody has labelled. Without its labels it would teach that there is nothing.
fn untold(item: &Item<'_>) -> Option<Note> {
    if item.row.has_unreadable_labels() {
        return Some(Note::UnreadableLabels);
    }
    let objects = item.label.map(|label| &label.annotations.objects)?;
    let is_untold = |object: &Object| object.unreadable && !object.has_shape();
    (!objects.is_empty() && objects.iter().all(is_untold)).then_some(Note::UnreadableObject)
}

/// Notes what of a row's labels no format has.
fn note_labels(item: &Item<'_>, notes: &mut Notes) {
    if item.row.labels().nth(1).is_some() {
        notes.add(Note::FurtherLabels, item.id());
    }
    let answers = item.label.map(|label| &label.annotations.classifications);
    let unreadable = answers.into_iter().flatten().filter(|it| it.unreadable);
    unreadable.for_each(|_| notes.add(Note::UnreadableAnswer, item.id()));
}

fn suits(format: Format, medium: &Medium) -> bool {
    match format {
        Format::Coco | Format::Yolo => *medium == Medium::Images,
        Format::Hf => !matches!(medium, Medium::Other(_)),
    }
}

fn each<'t, T: 't>(
    targets: impl IntoIterator<Item = &'t mut T>,
    mut call: impl FnMut(&'t mut T) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    targets.into_iter().try_for_each(&mut call)
}

fn image_row(
    data: &Path,
    regions: &Regions,
    targets: &mut [Box<dyn ImageTarget>],
    (item, image): (&Item<'_>, &Image),
    notes: &mut Notes,
) -> Result<(), FormatError> {
    each(targets.iter_mut(), |target| target.image(item, image))?;
    let objects = item.label.map(|label| &label.annotations.objects);
    // One at a time: a mask may be large, and an image may have many.
    for object in objects.into_iter().flatten() {
        let class = regions.number_of(object).ok_or(unknown(object));
        let found = class.and_then(|class| Ok((class, shape(object, data, image)?)));
        match found {
            Err(note) => notes.add(note, item.id()),
            Ok((class, shape)) => {
                let region = Region {
                    class,
                    shape: &shape,
                    image,
                    item,
                };
                each(targets.iter_mut(), |target| target.region(&region, notes))?;
            }
        }
    }
    each(targets.iter_mut(), |target| target.end_image(item, notes))
}

/// What is in the way of an object whose class is not known.
pub(super) fn unknown(object: &Object) -> Note {
    match object.unreadable && object.name.is_empty() {
        true => Note::UnreadableObject,
        false => Note::UnknownClass,
    }
}

/// Where an object is, or what is in the way.
fn shape(object: &Object, data: &Path, image: &Image) -> Result<Shape, Note> {
    let shape = match object {
        Object {
            bounding_box: Some(bounds),
            ..
        } => Shape::Box(*bounds),
        Object {
            polygon: Some(points),
            ..
        } => Shape::Polygons(vec![opened(points.clone())]),
        Object {
            mask: Some(mask), ..
        } => Shape::Mask(read_mask(mask, data, image)?),
        Object {
            unreadable: true, ..
        } => return Err(Note::UnreadableObject),
        _ => return Err(Note::OtherKind),
    };
    let extent = shape.bounds().filter(|_| shape.area() > 0.0);
    extent.map(|_| shape).ok_or(Note::NoExtent)
}

fn read_mask(mask: &Mask, data: &Path, image: &Image) -> Result<super::bitmap::Bitmap, Note> {
    let file = mask
        .local_path
        .as_deref()
        .and_then(|path| open_own(data, path));
    let mask = mask::read(file.ok_or(Note::NoMask)?).map_err(|_| Note::UnreadableMask)?;
    if mask.size() == image.size {
        Ok(mask)
    } else {
        Err(Note::MaskSize)
    }
}

/// A file that the export has fetched.
pub(super) fn open_own(data: &Path, path: &str) -> Option<File> {
    let path = Some(path).filter(|path| stays(path))?;
    File::open(data.join(path)).ok()
}
