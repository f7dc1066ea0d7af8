//! Uuids of lines that brought none along.

use sha1::{Digest, Sha1};
use uuid::Uuid;

/// The same prediction of the same job always gets the same uuid; the same one once more gets another.
pub(super) fn derive(job: &str, content: &[u8], occurrence: u32) -> Uuid {
    let mut digest = Sha1::new();
    digest.update(job.as_bytes());
    digest.update(content);
    if occurrence > 0 {
        digest.update(occurrence.to_le_bytes());
    }
    let digest = digest.finalize();
    let bytes = digest.first_chunk().copied().unwrap_or_default();
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

/// The object with a uuid at its beginning.
pub(super) fn with_uuid(uuid: Uuid, object: &[u8]) -> Vec<u8> {
    let rest = object.strip_prefix(b"{").unwrap_or(object);
    let mut line = Vec::with_capacity(object.len() + 48);
    line.extend_from_slice(b"{\"uuid\":\"");
    let mut text = Uuid::encode_buffer();
    line.extend_from_slice(uuid.as_hyphenated().encode_lower(&mut text).as_bytes());
    line.extend_from_slice(b"\",");
    line.extend_from_slice(rest);
    line
}
