//! `out/yolo/labels/`: a text file an image, as ultralytics writes it with `save_txt`: a line an object, with the number
//! of its class, a box or the points of an outline as shares of the image's sides, and with `save_conf` a confidence
//! (ultralytics: `engine/results.py`). Tracking adds the number of a track, from 1, after the confidence.

use std::{ffi::OsStr, fs::File, io::BufReader, path::Path};

use super::numbers::{Content, NoShape, shape};
use crate::{
    formats::{
        FormatError, Note, Size,
        error::broken,
        lines::Lines,
        read_back::{Sink, Target},
    },
    job_dir::files::UntrustedFolder,
};

/// The folder below `out/`.
pub(in crate::formats) const LABELS: &str = "yolo/labels";

/// The longest line that is read, in bytes.
const LINE_LIMIT: usize = 1 << 20;

/// The most of a file that is read, in lines: no image has more objects.
const LINES: usize = 1 << 20;

/// A box has no more numbers after its class: its place, a confidence and a track.
const BOX_NUMBERS: usize = 6;

/// Reads the labels, if there are any.
pub(in crate::formats) fn read_labels(out: &Path, sink: &mut Sink<'_>) -> Result<(), FormatError> {
    let folder = UntrustedFolder::open(out, Path::new(LABELS)).map_err(broken(LABELS))?;
    let Some(folder) = folder else { return Ok(()) };
    let content = match sink.regions().have_outlines() {
        _ if shows_outlines(&folder, sink)? => Content::Outlines,
        true => Content::Either,
        false => Content::Boxes,
    };
    for name in folder.names().map_err(broken(LABELS))? {
        sink.check_stopped()?;
        let name = name.map_err(broken(LABELS))?;
        if Path::new(&name).extension() == Some(OsStr::new("txt")) {
            read_file(&folder, &name, content, sink)?;
        }
    }
    Ok(())
}

/// Whether some line has more numbers than a box could have, as every model of outlines leaves them.
fn shows_outlines(folder: &UntrustedFolder, sink: &Sink<'_>) -> Result<bool, FormatError> {
    for name in folder.names().map_err(broken(LABELS))? {
        sink.check_stopped()?;
        let name = name.map_err(broken(LABELS))?;
        // What cannot be read is told when its lines are taken in.
        if Path::new(&name).extension() == Some(OsStr::new("txt"))
            && let Ok(Some(file)) = folder.open_file(&name)
            && has_outline(file)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_outline(file: File) -> bool {
    let mut lines = Lines::new(BufReader::new(file), LINE_LIMIT);
    for _ in 0..LINES {
        let Ok(Some(line)) = lines.next() else {
            return false;
        };
        let content = line.content.unwrap_or_default();
        if words(content).count() > 1 + BOX_NUMBERS {
            return true;
        }
    }
    false
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

fn read_file(
    folder: &UntrustedFolder,
    name: &OsStr,
    content: Content,
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
            Some(line) => {
                let image = (&target, size, content);
                read_line(line, &origin, image, sink)?;
            }
        }
    }
    Ok(())
}

fn read_line(
    line: &[u8],
    origin: &str,
    (target, size, content): (&Target, Size, Content),
    sink: &mut Sink<'_>,
) -> Result<(), FormatError> {
    let mut numbers = Vec::new();
    for word in words(line) {
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
    match shape(rest, content, size) {
        Ok((shape, confidence)) => sink.predict(origin, target, (class, shape), confidence),
        Err(NoShape::WithoutExtent) => {
            sink.note(Note::NoExtent, origin);
            Ok(())
        }
        Err(NoShape::Unknown) => {
            sink.refuse(origin, "its numbers are neither a box nor an outline")
        }
        Err(NoShape::Doubtful) => sink.refuse(
            origin,
            "its six numbers may be a triangle as well as a box: leave out what follows the confidence",
        ),
    }
}

/// A class's number is printed as a whole one, by some with a point.
fn whole(number: f64) -> Option<usize> {
    let text = format!("{number:.0}");
    text.parse().ok().filter(|_| number.fract() == 0.0)
}
