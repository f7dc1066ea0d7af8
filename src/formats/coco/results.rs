//! `out/coco_results.json`: a list of results as COCO's own evaluation takes it (cocodataset.org: results format).

use std::{
    cell::Cell,
    fmt,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    rc::Rc,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::FIRST_CATEGORY;
use crate::{
    dataset::{BoundingBox, Found, Point},
    formats::{
        FormatError, Size,
        classes::Kind,
        error::broken,
        read_back::Sink,
        rle,
        shape::{Ring, Shape, opened},
    },
    job_dir::files::open_untrusted,
};

/// The file below `out/`.
pub(in crate::formats) const RESULTS: &str = "coco_results.json";

/// The longest result that is read, in bytes.
const RESULT_LIMIT: usize = 16 << 20;

/// Reads the results, if there are any.
pub(in crate::formats) fn read_results(out: &Path, sink: &mut Sink<'_>) -> Result<(), FormatError> {
    let file = open_untrusted(out, RESULTS).map_err(broken(RESULTS))?;
    let Some(file) = file else { return Ok(()) };
    sink.begin_file();
    let left = Rc::new(Cell::new(RESULT_LIMIT));
    let mut results = Results {
        sink,
        left: Rc::clone(&left),
        number: 0,
        failed: None,
    };
    let mut json = serde_json::Deserializer::from_reader(Bounded {
        file: BufReader::new(file),
        left,
    });
    let read = json.deserialize_seq(&mut results).and_then(|()| json.end());
    let Results { number, failed, .. } = results;
    match (failed, read) {
        (Some(failed), _) => Err(failed),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => Err(FormatError::Broken {
            file: RESULTS.to_owned(),
            text: format!("it is no list of results after the first {number}: {error}"),
        }),
    }
}

/// A file of which no more than a bound is read between two results.
struct Bounded {
    file: BufReader<File>,
    left: Rc<Cell<usize>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        match self.left.get().checked_sub(read) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other("a result is longer than 16 MiB")),
        }
        Ok(read)
    }
}

/// Takes results one by one.
struct Results<'a, 's> {
    sink: &'a mut Sink<'s>,
    left: Rc<Cell<usize>>,
    /// Of the last result, from 1.
    number: u64,
    /// An error that is not the file's.
    failed: Option<FormatError>,
}

impl<'de> Visitor<'de> for &mut Results<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of results")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(result) = list.next_element::<Box<RawValue>>()? {
            self.left.set(RESULT_LIMIT);
            self.number += 1;
            if let Err(failed) = self.take(&result) {
                self.failed = Some(failed);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

impl Results<'_, '_> {
    fn take(&mut self, result: &RawValue) -> Result<(), FormatError> {
        self.sink.check_stopped()?;
        let origin = format!("{RESULTS}, result {}", self.number);
        let result = match CocoResult::read(result) {
            Ok(result) => result,
            Err(reason) => return self.sink.refuse(&origin, reason),
        };
        let image = whole(&result.image_id);
        let target = image.map_or(Ok(None), |number| self.sink.target(number))?;
        let Some(target) = target else {
            let reason = format!("there is no image with the id {}", short(&result.image_id));
            return self.sink.refuse(&origin, &reason);
        };
        let category = whole(&result.category_id).and_then(|id| usize::try_from(id).ok());
        let class = category.and_then(|id| id.checked_sub(FIRST_CATEGORY));
        let found = class.and_then(|class| Some((class, self.sink.regions().kind(class)?)));
        let Some((class, kind)) = found else {
            let reason = format!(
                "there is no category with the id {}",
                short(&result.category_id)
            );
            return self.sink.refuse(&origin, &reason);
        };
        match result.shape(kind, target.size) {
            Err(reason) => self.sink.refuse(&origin, &reason),
            Ok(shape) => self
                .sink
                .predict(&origin, &target, (class, shape), result.score.known()),
        }
    }
}

#[derive(Deserialize)]
struct CocoResult {
    #[serde(default)]
    image_id: Value,
    #[serde(default)]
    category_id: Value,
    #[serde(default)]
    bbox: Found<[f64; 4]>,
    #[serde(default)]
    segmentation: Found<Segmentation>,
    #[serde(default)]
    score: Found<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f64>>),
    Runs { size: [u32; 2], counts: Counts },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Counts {
    Text(String),
    Numbers(Vec<u64>),
}

impl CocoResult {
    /// The error says why it is none, for people.
    fn read(result: &RawValue) -> Result<Self, &'static str> {
        let object = Some(result.get()).filter(|text| text.starts_with('{'));
        let read = object.and_then(|text| serde_json::from_str(text).ok());
        let read: Self = read.ok_or("it is no JSON object that names each of its keys once")?;
        match &read {
            Self {
                image_id: Value::Null,
                ..
            } => Err("it has no image_id"),
            Self {
                category_id: Value::Null,
                ..
            } => Err("it has no category_id"),
            Self {
                bbox: Found::Other, ..
            } => Err("its bbox is no list of four numbers"),
            Self {
                segmentation: Found::Other,
                ..
            } => Err(
                "its segmentation is neither a list of polygons nor an RLE with size and counts",
            ),
            Self {
                score: Found::Other,
                ..
            } => Err("its score is no number"),
            _ => Ok(read),
        }
    }

    /// Its box where a box is wanted, its segmentation otherwise, or else what it has.
    fn shape(&self, wanted: Kind, size: Option<Size>) -> Result<Shape, String> {
        let drawn = self.segmentation.as_known();
        let drawn =
            drawn.filter(|drawn| !matches!(drawn, Segmentation::Polygons(none) if none.is_empty()));
        match (self.bbox.known(), drawn) {
            (Some(bounds), _) if wanted == Kind::Box => Ok(box_of(bounds)),
            (_, Some(drawn)) => drawn.shape(size),
            (Some(bounds), None) => Ok(box_of(bounds)),
            (None, None) => Err("it has neither a bbox nor a segmentation".to_owned()),
        }
    }
}

fn box_of([left, top, width, height]: [f64; 4]) -> Shape {
    Shape::Box(BoundingBox {
        top,
        left,
        height,
        width,
    })
}

impl Segmentation {
    fn shape(&self, image: Option<Size>) -> Result<Shape, String> {
        match self {
            Self::Polygons(flat) => {
                let rings: Option<Vec<Ring>> = flat.iter().map(|flat| ring(flat)).collect();
                let rings =
                    rings.ok_or("its polygons need two numbers a point, and three points")?;
                Ok(Shape::Polygons(rings))
            }
            Self::Runs { size, counts } => {
                let [height, width] = *size;
                let size = Size { width, height };
                if image.is_some_and(|image| image != size) {
                    return Err(format!(
                        "its mask is {width} by {height} pixels, unlike its image"
                    ));
                }
                let mask = match counts {
                    Counts::Text(text) => rle::of_text(size, text),
                    Counts::Numbers(counts) => rle::of_counts(size, counts),
                };
                mask.map(Shape::Mask).map_err(|error| error.to_string())
            }
        }
    }
}

fn ring(flat: &[f64]) -> Option<Ring> {
    let (points, rest) = flat.as_chunks::<2>();
    let points = points.iter().map(|[x, y]| Point { x: *x, y: *y });
    let ring = opened(points.collect());
    (rest.is_empty() && ring.len() >= 3).then_some(ring)
}

/// Ids are whole numbers; some write them with a point or in quotes.
fn whole(id: &Value) -> Option<u64> {
    match id {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64().or_else(|| {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            format!("{number:.0}").parse().ok()
        }),
        _ => None,
    }
}

/// A value in a reason.
fn short(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}
