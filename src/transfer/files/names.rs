//! What fetched files are called: a name that any file system takes, made of the row's id and what is known of the kind.

use sha2::{Digest, Sha256};

use super::line::What;

/// The folder of all files, below the data folder.
pub(super) const FOLDER: &str = "files";

/// Ids that are longer are no names of files.
const ID_LIMIT: usize = 64;

/// Kinds of files as Labelbox names them, and how their names end.
const EXTENSIONS: [(&str, &str); 24] = [
    ("application/dicom", "dcm"),
    ("application/geo+json", "geojson"),
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/x-ndjson", "ndjson"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/jpeg", "jpg"),
    ("image/jpg", "jpg"),
    ("image/png", "png"),
    ("image/svg+xml", "svg"),
    ("image/tiff", "tif"),
    ("image/webp", "webp"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("video/mp4", "mp4"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
];

/// The file of this part of a row, below the data folder. The same row always gets the same name.
pub(super) fn local_path(row: &str, what: What, mime_type: Option<&str>, url: &str) -> String {
    let extension = match what {
        What::Mask(_) => Some("png".to_owned()),
        What::RowData => of_kind(mime_type).or_else(|| of_url(url)),
        What::Attachment(_) => of_url(url),
    };
    let extension = extension.map_or_else(String::new, |extension| format!(".{extension}"));
    let stem = stem(row);
    match what {
        What::RowData => format!("{FOLDER}/{stem}{extension}"),
        What::Attachment(number) => format!("{FOLDER}/{stem}.attachment-{number}{extension}"),
        What::Mask(number) => format!("{FOLDER}/{stem}.mask-{number}{extension}"),
    }
}

/// The id, where it is one of Labelbox's; else a hash of it, which no id can be taken for.
fn stem(row: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !row.is_empty() && row.len() <= ID_LIMIT && row.chars().all(fits) {
        true => row.to_owned(),
        false => format!("hash.{}", &hex(&Sha256::digest(row.as_bytes()))[..32]),
    }
}

fn of_kind(mime_type: Option<&str>) -> Option<String> {
    let mime_type = mime_type?.split(';').next()?.trim().to_ascii_lowercase();
    let known = EXTENSIONS.iter().find(|(kind, _)| *kind == mime_type);
    known.map(|(_, extension)| (*extension).to_owned())
}

/// How the address's path ends, if that is an extension as people know them.
fn of_url(url: &str) -> Option<String> {
    let path = url.split(['?', '#']).next()?;
    let (_, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    let fits = (1..=8).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| extension.to_ascii_lowercase())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
