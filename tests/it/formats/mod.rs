//! An export as COCO, YOLO and Hugging Face's datasets, read by the readers that trainings use; and their results.

mod bounded;
mod circle;
mod coco;
mod edges;
mod hf;
mod odd;
mod results;
mod yolo;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use trainhook::{
    config::Format,
    dataset::{Ontology, Split},
    formats::{FormatError, ReadBack, Summary, Write, Written, read_back, write},
};

/// A job's folders with an export.
pub(crate) struct Exported {
    folder: TempDir,
    ontology: Ontology,
}

impl Exported {
    pub(crate) fn of(ontology: Value) -> Self {
        let exported = Self {
            folder: tempfile::tempdir().expect("a folder"),
            ontology: serde_json::from_value(ontology).expect("an ontology"),
        };
        for folder in ["data/files", "server", "out"] {
            fs::create_dir_all(exported.path(folder)).expect("a folder");
        }
        exported
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn row(&self, split: Split, row: &Value) {
        let path = self.path("data").join(split.file_name());
        let file = File::options().create(true).append(true).open(path);
        writeln!(file.expect("a file"), "{row}").expect("a line");
    }

    /// A file that the export has fetched; the answer is its `local_path`.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = format!("files/{name}");
        fs::write(self.path("data").join(&path), content).expect("a file");
        path
    }

    /// A row with an image of that size, whose pixels are all black.
    pub(crate) fn image(
        &self,
        split: Split,
        id: &str,
        (width, height): (u32, u32),
        annotations: Value,
    ) {
        let pixels = vec![0; (width * height) as usize];
        let path = self.file(&format!("{id}.png"), &grey_png(width, height, &pixels));
        self.row(split, &image_row(id, &path, (width, height), annotations));
    }

    /// In all formats that its medium has.
    pub(crate) fn write_all(&self) -> Written {
        let images = self.ontology.media_type.as_deref() == Some("IMAGE");
        self.write(if images { &Format::ALL } else { &[Format::Hf] })
    }

    pub(crate) fn write(&self, formats: &[Format]) -> Written {
        self.try_write(formats).expect("written")
    }

    fn try_write(&self, formats: &[Format]) -> Result<Written, FormatError> {
        write(&Write {
            formats,
            data: &self.path("data"),
            ontology: &self.ontology,
            index: &self.path("server/formats.index"),
            stopped: &AtomicBool::new(false),
        })
    }

    /// A file that the command has left.
    pub(crate) fn leave(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path("out").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    pub(crate) fn read_back(&self) -> Result<Summary, FormatError> {
        read_back(&ReadBack {
            most_bytes: 1 << 30,
            out: &self.path("out"),
            data: &self.path("data"),
            index: &self.path("server/formats.index"),
            ontology: &self.ontology,
            sink: &self.path("server/predictions.ndjson"),
            stopped: &AtomicBool::new(false),
        })
    }

    /// The lines that reading back has made.
    pub(crate) fn lines(&self) -> Vec<Map<String, Value>> {
        let lines = fs::read_to_string(self.path("server/predictions.ndjson")).expect("a file");
        let line = |line| serde_json::from_str(line).expect("a line of JSON");
        lines.lines().map(line).collect()
    }

    /// What `tests/conformance/formats.py` says.
    fn python(&self, subject: &str, rest: &[&str]) -> Value {
        let found = Command::new(python())
            .arg(top().join("tests/conformance/formats.py"))
            .arg(subject)
            .arg(self.path("data"))
            .args(rest)
            .env("HF_HOME", self.path("hf_home"))
            .output()
            .expect("python starts");
        let errors = String::from_utf8_lossy(&found.stderr);
        assert!(found.status.success(), "{errors}");
        serde_json::from_slice(&found.stdout).expect(&errors)
    }
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The interpreter of the environment that `tests/run` makes, or of the one that `TRAINHOOK_TEST_VENV` names.
fn python() -> PathBuf {
    let made = || top().join("target/conformance-venv");
    let venv = std::env::var_os("TRAINHOOK_TEST_VENV").map_or_else(made, PathBuf::from);
    let python = venv.join("bin/python");
    let missing = format!(
        "there is no {}: run tests/run, which creates it",
        python.display()
    );
    assert!(python.exists(), "{missing}");
    python
}

fn image_row(id: &str, path: &str, (width, height): (u32, u32), annotations: Value) -> Value {
    let mut row = labelled(id, annotations);
    row["data_row"]["local_path"] = path.into();
    row["data_row"]["row_data"] = format!("https://storage.example.com/{id}.png").into();
    row["media_attributes"] = json!({ "width": width, "height": height, "mime_type": "image/png" });
    row
}

/// A row with a label; `null` is a row without.
pub(crate) fn labelled(id: &str, annotations: Value) -> Value {
    let labels = match annotations {
        Value::Null => json!([]),
        annotations => json!([{ "label_kind": "Default", "annotations": annotations }]),
    };
    let run = json!({ "run": { "labels": labels } });
    json!({
        "data_row": { "id": id, "global_key": format!("key of {id}") },
        "experiments": { "model": { "runs": run } },
    })
}

fn objects(objects: Value) -> Value {
    json!({ "objects": objects, "classifications": [] })
}

pub(crate) fn tool(name: &str, kind: &str) -> Value {
    json!({ "name": name, "schema_id": format!("{kind} {name}"), "kind": kind })
}

pub(crate) fn images_of(tools: &[Value]) -> Value {
    json!({ "id": "o", "name": "things", "media_type": "IMAGE", "tools": tools })
}

fn boxed(name: &str, [left, top, width, height]: [f64; 4]) -> Value {
    let bounds = json!({ "left": left, "top": top, "width": width, "height": height });
    json!({ "name": name, "annotation_kind": "ImageBoundingBox", "bounding_box": bounds })
}

fn polygon(name: &str, points: &[(f64, f64)]) -> Value {
    let points: Vec<Value> = points
        .iter()
        .map(|(x, y)| json!({ "x": x, "y": y }))
        .collect();
    json!({ "name": name, "annotation_kind": "ImagePolygon", "polygon": points })
}

fn masked(name: &str, path: &str) -> Value {
    let mask = json!({ "url": "https://api.labelbox.com/masks/1", "local_path": path });
    json!({ "name": name, "annotation_kind": "ImageSegmentationMask", "mask": mask })
}

/// A picture drawn in characters, where `#` belongs to the object: its size, and a byte a pixel.
fn drawn(picture: &[&str], shade: u8) -> (u32, u32, Vec<u8>) {
    let width = u32::try_from(picture[0].len()).expect("a width");
    let height = u32::try_from(picture.len()).expect("a height");
    let shade_of = |pixel: u8| if pixel == b'#' { shade } else { 0 };
    let pixels = picture.concat().bytes().map(shade_of).collect();
    (width, height, pixels)
}

fn as_rows(picture: &[&str]) -> Value {
    let row = |row: &&str| -> Value { row.bytes().map(|pixel| u8::from(pixel == b'#')).collect() };
    picture.iter().map(row).collect()
}

fn grey_png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    png_of(width, height, png::ColorType::Grayscale, pixels)
}

fn png_of(width: u32, height: u32, colour: png::ColorType, pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(pixels).expect("pixels");
    writer.finish().expect("an end");
    file
}
