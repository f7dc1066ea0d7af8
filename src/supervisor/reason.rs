//! Why a command failed, in one line, found where its author or its tools left it.

use serde_json::Value;

use super::plain::{cut, is_bar, plain_line};
use crate::job_dir::{AttemptDir, files};

/// Bytes looked at in `out/failure` and the error file.
const FILE_LIMIT: u64 = 256 * 1024;

/// Bytes looked at from the end of the log.
const TAIL_LIMIT: u64 = 64 * 1024;

/// Python writes this line before the calls that led to an exception.
const TRACEBACK: &str = "Traceback (most recent call last):";

/// The reason, from the most deliberate source to the least: `out/failure`, torch's error file, the
/// last Python exception in the log, the last line of the log; `unlogged` is what the log could not take at its end.
pub(super) fn find_reason(dir: &AttemptDir, unlogged: &[u8]) -> Option<String> {
    let reason = told(dir).or_else(|| by_torch(dir)).or_else(|| {
        let mut tail = dir
            .log_tail(TAIL_LIMIT)
            .map_or_else(|_| Vec::new(), |tail| tail.bytes);
        tail.extend_from_slice(unlogged);
        let lines: Vec<String> = text(&tail).split('\n').map(plain_line).collect();
        exception(&lines).or_else(|| last_words(&lines))
    })?;
    Some(cut(&reason)).filter(|reason| !reason.is_empty())
}

fn told(dir: &AttemptDir) -> Option<String> {
    let content = files::read_untrusted(dir.path(), "out/failure", FILE_LIMIT).ok()??;
    first_line(&text(&content))
}

/// `{"message": {"message": "ValueError: …", …}}`, or the message itself where it was written by hand.
fn by_torch(dir: &AttemptDir) -> Option<String> {
    let error: Value = files::read_json(dir.path(), "torch_error.json", FILE_LIMIT).ok()??;
    let message = error.get("message")?;
    let message = message.get("message").unwrap_or(message);
    first_line(message.as_str()?)
}

/// The first line that is not indented after the last traceback. Launchers put a rank before each
/// line; it is put before the exception as well.
fn exception(lines: &[String]) -> Option<String> {
    let begin = lines.iter().rposition(|line| line.contains(TRACEBACK))?;
    let (prefix, _) = lines[begin].split_once(TRACEBACK)?;
    lines[begin + 1..]
        .iter()
        .map(|line| line.strip_prefix(prefix).unwrap_or(line))
        .find(|line| !line.is_empty() && !line.starts_with(char::is_whitespace))
        .map(ToOwned::to_owned)
}

fn last_words(lines: &[String]) -> Option<String> {
    lines
        .iter()
        .rev()
        .find(|line| !line.trim().is_empty() && !is_bar(line))
        .cloned()
}

fn first_line(text: &str) -> Option<String> {
    let mut lines = text.split('\n').map(plain_line);
    lines.find(|line| !line.trim().is_empty())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
