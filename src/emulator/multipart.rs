//! A GraphQL call with a file: `operations`, `map` and the file, as parts of a form
//! (captured from labelbox 7.17.0).

use bytes::Bytes;
use serde_json::Value;

/// A call and the file that came with it.
#[derive(Debug)]
pub(super) struct Upload {
    /// `{"query", "variables"}`.
    pub(super) operations: Value,
    /// The file.
    pub(super) file: Bytes,
}

/// Reads the body of such a call; else what is wrong with it.
pub(super) fn read(content_type: &str, body: &Bytes) -> Result<Upload, String> {
    let boundary = content_type
        .split(';')
        .find_map(|part| part.trim().strip_prefix("boundary="));
    let boundary = boundary
        .ok_or("the content type names no boundary")?
        .trim_matches('"');
    let parts = parts(body, boundary);
    let named = |name: &str| parts.iter().find(|part| part.name == name);
    let json = |name: &str| {
        let part = named(name).ok_or_else(|| format!("there is no part {name:?}"))?;
        serde_json::from_slice::<Value>(&part.content).map_err(|error| format!("{name}: {error}"))
    };
    let (operations, map) = (json("operations")?, json("map")?);
    let files = map.as_object().into_iter().flatten();
    let mut files = files.filter(|(_, places)| places[0] == "variables.file");
    let (name, _) = files.next().ok_or("map names no part for variables.file")?;
    let file = named(name).ok_or_else(|| format!("there is no part {name:?}"))?;
    Ok(Upload {
        operations,
        file: file.content.clone(),
    })
}

struct Part {
    name: String,
    content: Bytes,
}

/// The parts of a form (RFC 7578).
fn parts(body: &Bytes, boundary: &str) -> Vec<Part> {
    let delimiter = format!("--{boundary}");
    let mut marks = places(body, delimiter.as_bytes()).into_iter().peekable();
    let mut parts = Vec::new();
    while let Some(mark) = marks.next() {
        let Some(end) = marks.peek() else {
            break;
        };
        let part = body.slice(mark + delimiter.len()..*end);
        parts.extend(read_part(&part));
    }
    parts
}

fn read_part(part: &Bytes) -> Option<Part> {
    let head = places(part, b"\r\n\r\n").first().copied()?;
    let disposition = String::from_utf8_lossy(&part[..head]).into_owned();
    let name = disposition
        .split("; ")
        .find_map(|piece| piece.strip_prefix("name=\""))?;
    let name = name.split('"').next()?;
    let content = part.slice(head + 4..);
    let length = content
        .len()
        .checked_sub(2)
        .filter(|length| &content[*length..] == b"\r\n")?;
    Some(Part {
        name: name.to_owned(),
        content: content.slice(..length),
    })
}

/// Wherever `mark` begins.
fn places(bytes: &[u8], mark: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut from = 0;
    let Some((first, _)) = mark.split_first() else {
        return places;
    };
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        let at = from + at;
        if bytes[at..].starts_with(mark) {
            places.push(at);
        }
        from = at + 1;
    }
    places
}
