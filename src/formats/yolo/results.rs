//! `out/yolo/labels/`: a text file an image, as ultralytics writes it with `save_txt`: a line an object, with the number
//! of its class, a box or the points of an outline as shares of the image's sides, and with `save_conf` a confidence
//! (ultralytics: `engine/results.py`).

use std::{ffi::OsStr, io::BufReader, path::Path};

use crate::{
    dataset::{BoundingBox, Point},
    formats::{
        FormatError, Size,
        error::broken,
        lines::Lines,
        read_back::{Sink, Target},
        shape::{Shape, opened},
    },
    job_dir::files::UntrustedFolder,
};

/// The folder below `out/`.
pub(in crate::formats) const LABELS: &str = "yolo/labels";

/// The longest line that is read, in bytes.
const LINE_LIMIT: usize = 1 << 20;

/// The most of a file that is read, in lines: no image has more objects.
const LINES: usize = 1 << 20;

/// Reads the labels, if there are any.
pub(in crate::formats) fn read_labels(out: &Path, sink: &mut Sink<'_>) -> Result<(), FormatError> {
    let folder = UntrustedFolder::open(out, Path::new(LABELS)).map_err(broken(LABELS))?;
    let Some(folder) = folder else { return Ok(()) };
    for name in folder.names().map_err(broken(LABELS))? {
        sink.check_stopped()?;
        let name = name.map_err(broken(LABELS))?;
        if Path::new(&name).extension() == Some(OsStr::new("txt")) {
            read_file(&folder, &name, sink)?;
        }
    }
    Ok(())
}

fn read_file(
    folder: &UntrustedFolder,
    name: &OsStr,
    sink: &mut Sink<'_>,
) -> Result<(), FormatError> {
    let place = format!("{LABELS}/{}", name.display());
    sink.begin_file();
    let file = match folder.open_file(name) {
        Ok(Some(file)) => file,
        Ok(None) => return sink.refuse(&place, "it is gone"),
        Err(error) => return sink.refuse(&place, &error.to_string()),
    };
    let stem = Path::new(name).file_stem().and_then(OsStr::to_str);
    let number = stem.and_then(|stem| stem.parse().ok());
    let Some(target) = number.map_or(Ok(None), |number| sink.target(number))? else {
        return sink.refuse(
            &place,
            "its name is not that of an image in data/yolo/images",
        );
    };
    let Some(size) = target.size else {
        return sink.refuse(&place, "nobody knows how large its image is");
    };
    let mut lines = Lines::new(BufReader::new(file), LINE_LIMIT);
    for count in 0..=LINES {
        let line = match lines.next() {
            Ok(None) => return Ok(()),
            Ok(Some(line)) => line,
            Err(error) => return Err(broken(&place)(error)),
        };
        let origin = format!("{place}, line {}", line.number);
        if count == LINES {
            return sink.refuse(&origin, "no more lines than this are read of a file");
        }
        match line.content {
            None => sink.refuse(&origin, "it is longer than 1 MiB")?,
            Some(line) => read_line(line, &origin, (&target, size), sink)?,
        }
    }
    Ok(())
}

fn read_line(
    line: &[u8],
    origin: &str,
    (target, size): (&Target, Size),
    sink: &mut Sink<'_>,
) -> Result<(), FormatError> {
    let mut numbers = Vec::new();
    for word in line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
    {
        let number = std::str::from_utf8(word)
            .ok()
            .and_then(|word| word.parse::<f64>().ok());
        match number.filter(|number| number.is_finite()) {
            Some(number) => numbers.push(number),
            None => {
                let word: String = String::from_utf8_lossy(word).chars().take(40).collect();
                return sink.refuse(origin, &format!("{word:?} is no number"));
            }
        }
    }
    let Some((class, rest)) = numbers.split_first() else {
        return Ok(());
    };
    let class = whole(*class).filter(|class| sink.regions().kind(*class).is_some());
    let Some(class) = class else {
        return sink.refuse(
            origin,
            "its first number is no class of data/yolo/data.yaml",
        );
    };
    let outlines = sink.regions().have_outlines();
    match shape(rest, outlines, size) {
        Some((shape, confidence)) => sink.predict(origin, target, (class, shape), confidence),
        None => sink.refuse(origin, "its numbers are neither a box nor an outline"),
    }
}

/// A class's number is printed as a whole one, by some with a point.
fn whole(number: f64) -> Option<usize> {
    let text = format!("{number:.0}");
    text.parse().ok().filter(|_| number.fract() == 0.0)
}

/// A box has four numbers, an outline two for each point. A confidence may follow, and the number of a track then, which
/// is not looked at.
fn shape(numbers: &[f64], outlines: bool, size: Size) -> Option<(Shape, Option<f64>)> {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    match numbers {
        [x, y, w, h] => Some((box_of([*x, *y, *w, *h], size), None)),
        [x, y, w, h, confidence] => Some((box_of([*x, *y, *w, *h], size), Some(*confidence))),
        [x, y, w, h, confidence, _] if !outlines => {
            Some((box_of([*x, *y, *w, *h], size), Some(*confidence)))
        }
        [_, _, _, _, _, _, ..] => {
            let (points, rest) = numbers.as_chunks::<2>();
            let points = points.iter().map(|[x, y]| Point {
                x: tidy(x * width),
                y: tidy(y * height),
            });
            let ring = opened(points.collect());
            (ring.len() >= 3).then(|| (Shape::Polygons(vec![ring]), rest.first().copied()))
        }
        _ => None,
    }
}

fn box_of([x, y, w, h]: [f64; 4], size: Size) -> Shape {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let (left, right) = (tidy((x - w / 2.0) * width), tidy((x + w / 2.0) * width));
    let (top, bottom) = (tidy((y - h / 2.0) * height), tidy((y + h / 2.0) * height));
    Shape::Box(BoundingBox {
        top,
        left,
        height: bottom - top,
        width: right - left,
    })
}

/// Six digits are printed of each share, so no more than thousandths of a pixel are told.
fn tidy(pixels: f64) -> f64 {
    (pixels * 1000.0).round() / 1000.0
}
