//! Hugging Face's `datasets`: a folder of images with `metadata.jsonl`, or lines of JSON with texts, and in both cases a
//! `README.md` from which `load_dataset` knows splits and features (huggingface.co/docs/datasets: image dataset, repository
//! structure).

mod answers;
mod card;
mod images;
mod texts;
mod tokens;

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{FormatError, error::at};

pub(super) use images::Images;
pub(super) use texts::Texts;

/// The column with the data row's id, by which predictions name it.
const ID: &str = "data_row_id";

/// A file of JSON lines that is being written.
#[derive(Debug)]
struct JsonLines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonLines {
    fn begin(path: &Path) -> Result<Self, FormatError> {
        let file = File::create(path).map_err(at(path))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
        })
    }

    fn push(&mut self, line: &impl Serialize) -> Result<(), FormatError> {
        let written = serde_json::to_writer(&mut self.file, line).map_err(io::Error::from);
        let ended = written.and_then(|()| self.file.write_all(b"\n"));
        ended.map_err(at(&self.path))
    }

    /// So many have been written.
    fn bytes(&mut self) -> Result<u64, FormatError> {
        self.file.stream_position().map_err(at(&self.path))
    }

    fn finish(mut self) -> Result<(), FormatError> {
        self.file.flush().map_err(at(&self.path))
    }
}
