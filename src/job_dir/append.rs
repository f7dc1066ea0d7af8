//! Writing log, events and heartbeat as somebody else tells them, by offset: telling something twice changes nothing.

use std::{fs, io, os::unix::fs::FileExt};

use super::{
    AttemptDir, files,
    log::{LOG_PARTS_KEPT, log_part_name, log_part_room},
};

/// What became of bytes that were to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The file is this long now; less than the offset that was named where something is missing before it.
    UpTo(u64),
    /// They would make it longer than it may be.
    TooLong,
}

impl AttemptDir {
    /// Puts bytes of `events.ndjson` at their place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append_events(&self, offset: u64, bytes: &[u8], limit: u64) -> io::Result<Appended> {
        let file = files::create_untrusted(self.path(), "events.ndjson")?;
        let have = file.metadata()?.len();
        let Some(news) = news(offset, bytes, have) else {
            return Ok(Appended::UpTo(have));
        };
        let length = have.saturating_add(news.len() as u64);
        if length > limit {
            return Ok(Appended::TooLong);
        }
        file.write_all_at(news, have)?;
        Ok(Appended::UpTo(length))
    }

    /// Puts bytes of the log at their place, the whole of it bounded to `limit`; answers where the log ends then. What
    /// its writer has left out is left out here, too.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn append_log(&self, offset: u64, bytes: &[u8], limit: u64) -> io::Result<u64> {
        let mut have = self.log_parts()?.last().map_or(0, |last| last.end);
        let (mut offset, mut bytes) = match news(offset, bytes, have) {
            Some(news) => (have, news),
            None if offset > have => (offset, bytes),
            None => return Ok(have),
        };
        while !bytes.is_empty() {
            let (start, room) = self.part_for(offset, limit)?;
            let length = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let file = files::create_untrusted(self.path(), &log_part_name(start))?;
            file.write_all_at(&bytes[..length], offset - start)?;
            offset += length as u64;
            bytes = &bytes[length..];
            have = offset;
        }
        Ok(have)
    }

    /// The part into which the byte at `offset` goes, and how much of it has room there. The oldest part goes before
    /// another one comes.
    fn part_for(&self, offset: u64, limit: u64) -> io::Result<(u64, u64)> {
        let mut parts = self.log_parts()?;
        if let Some(last) = parts.last() {
            let room = log_part_room(limit, last.start).saturating_sub(last.end - last.start);
            if last.end == offset && room > 0 {
                return Ok((last.start, room));
            }
        }
        parts.retain(|part| part.start > 0);
        let surplus = (parts.len() + 1).saturating_sub(LOG_PARTS_KEPT);
        for oldest in parts.iter().take(if offset > 0 { surplus } else { 0 }) {
            fs::remove_file(self.path().join(&oldest.name))?;
        }
        Ok((offset, log_part_room(limit, offset)))
    }

    /// Sets the heartbeat's counter. Always the same number of bytes in the same place: needs no room on a full disk and
    /// is never seen half.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_heartbeat(&self, count: u64) -> io::Result<()> {
        let file = files::create_untrusted(self.path(), "heartbeat")?;
        file.write_all_at(format!("{count:020}\n").as_bytes(), 0)
    }
}

/// What of `bytes`, which begin at `offset`, lies behind `have`; none if they begin only later, or nothing does.
fn news(offset: u64, bytes: &[u8], have: u64) -> Option<&[u8]> {
    let known = usize::try_from(have.checked_sub(offset)?).ok()?;
    bytes.get(known..).filter(|news| !news.is_empty())
}
