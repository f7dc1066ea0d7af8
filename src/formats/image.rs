//! What must be known of a row's image: its file, what kind it is of, how large it is.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path},
};

use super::{Note, Size};
use crate::dataset::Row;

/// The image of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// Its file, below the data folder.
    pub(super) path: String,
    /// As readers of images expect it at the end of a file's name.
    pub(super) extension: &'static str,
    pub(super) size: Size,
}

/// Opens a file below the data folder.
pub(super) type Open<'a> = &'a dyn Fn(&str) -> Option<File>;

/// What an image's file may be called, and what it may be by the word of whoever served it.
const EXTENSIONS: [(&str, &str); 10] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpg"),
    ("webp", "image/webp"),
    ("bmp", "image/bmp"),
    ("tif", "image/tiff"),
    ("tiff", "image/x-tiff"),
    ("gif", "image/gif"),
    ("avif", "image/avif"),
    ("heic", "image/heic"),
];

/// Bytes at the beginning of a file by which its kind is told.
const HEAD: usize = 30;

/// No JPEG has more parts than this before it says how large it is.
const JPEG_PARTS: usize = 4096;

impl Image {
    /// The image of a row, or what is in the way.
    pub(super) fn of(row: &Row, open: Open<'_>) -> Result<Self, Note> {
        let path = row.data_row.local_path.as_deref();
        let path = path.filter(|path| stays(path)).ok_or(Note::NoFile)?;
        let mime = row.media_attributes.mime_type.as_deref();
        let looked_at = || Head::of(&mut open(path)?)?.kind();
        let extension = match mime {
            // Storage that was not told what it keeps says `application/octet-stream` of anything.
            Some(other) if !other.starts_with("image/") => looked_at(),
            _ => named(path, mime.unwrap_or_default()).or_else(looked_at),
        };
        Ok(Self {
            path: path.to_owned(),
            extension: extension.ok_or(Note::NotAnImage)?,
            size: size_of(row, open).ok_or(Note::NoSize)?,
        })
    }
}

/// The size of a row's image, as Labelbox or else its file says. Labels are drawn on the image that Labelbox shows, so
/// its word counts; a photograph's own note that it lies on its side is not looked at.
pub(super) fn size_of(row: &Row, open: Open<'_>) -> Option<Size> {
    let known = row.size();
    let known = known.and_then(|(width, height)| Size::of(width, height));
    known.or_else(|| {
        let path = row.data_row.local_path.as_deref();
        let mut file = open(path.filter(|path| stays(path))?)?;
        let (width, height) = Head::of(&mut file)?.size(&mut file)?;
        Size::of(f64::from(width), f64::from(height))
    })
}

/// Whether a path leads to something below its folder.
pub(super) fn stays(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// By the file's name, or else by the word of whoever served it.
fn named(path: &str, mime: &str) -> Option<&'static str> {
    let extension = Path::new(path).extension().unwrap_or_default();
    let by_name = EXTENSIONS
        .iter()
        .find(|(known, _)| extension.eq_ignore_ascii_case(known));
    let by_mime = || EXTENSIONS.iter().find(|(_, known)| *known == mime);
    by_name.or_else(by_mime).map(|(extension, _)| *extension)
}

/// The first bytes of a file; zeros where it is shorter.
#[derive(Debug)]
struct Head([u8; HEAD]);

impl Head {
    fn of(file: &mut File) -> Option<Self> {
        let mut head = Vec::new();
        file.take(HEAD as u64).read_to_end(&mut head).ok()?;
        head.resize(HEAD, 0);
        head.try_into().ok().map(Self)
    }

    /// What its first bytes say it is.
    fn kind(&self) -> Option<&'static str> {
        match &self.0 {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("png"),
            [0xff, 0xd8, 0xff, ..] => Some("jpg"),
            [b'G', b'I', b'F', b'8', ..] => Some("gif"),
            [b'B', b'M', ..] => Some("bmp"),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some("webp"),
            _ => None,
        }
    }

    /// Width and height, where the beginning of the file tells them.
    fn size(&self, file: &mut File) -> Option<(u32, u32)> {
        let long = |at: usize| {
            self.0[at..]
                .first_chunk()
                .map(|bytes| u32::from_be_bytes(*bytes))
        };
        let short = |at: usize| {
            self.0[at..]
                .first_chunk()
                .map(|bytes| u16::from_le_bytes(*bytes))
        };
        let both = |at: usize| Some((u32::from(short(at)?), u32::from(short(at + 2)?)));
        match self.kind()? {
            "png" => Some((long(16)?, long(20)?)),
            "gif" => both(6),
            "bmp" => Some((
                long(18)?.swap_bytes(),
                long(22)?.swap_bytes().cast_signed().unsigned_abs(),
            )),
            "webp" => match &self.0[12..16] {
                b"VP8 " => both(26).map(|(width, height)| (width & 0x3fff, height & 0x3fff)),
                b"VP8L" => {
                    let bits = long(21)?.swap_bytes();
                    Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
                }
                b"VP8X" => Some((
                    (long(23)?.swap_bytes() >> 8) + 1,
                    (long(26)?.swap_bytes() >> 8) + 1,
                )),
                _ => None,
            },
            _ => jpeg_size(file).ok()?,
        }
    }
}

/// Walks through the parts of a JPEG to the one that begins the picture.
fn jpeg_size(file: &mut File) -> io::Result<Option<(u32, u32)>> {
    file.seek(SeekFrom::Start(2))?;
    for _ in 0..JPEG_PARTS {
        let mut part = [0; 4];
        file.read_exact(&mut part)?;
        let [0xff, kind, high, low] = part else {
            return Ok(None);
        };
        if kind == 0xff {
            // Any number of these may stand before a part.
            file.seek(SeekFrom::Current(-3))?;
            continue;
        }
        if matches!(kind, 0xc0..=0xcf) && !matches!(kind, 0xc4 | 0xc8 | 0xcc) {
            let mut frame = [0; 5];
            file.read_exact(&mut frame)?;
            let [_, high, low, wide, narrow] = frame;
            let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
            return Ok(Some((side(wide, narrow), side(high, low))));
        }
        let rest = i64::from(u16::from_be_bytes([high, low])) - 2;
        file.seek(SeekFrom::Current(rest))?;
    }
    Ok(None)
}
