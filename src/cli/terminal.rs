//! How things look: colours only on a terminal, columns, and times as people say them.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;

use crate::config::parse_duration;

/// Whether standard output takes colours.
pub(super) fn colours() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    wanted && std::io::stdout().is_terminal()
}

/// A state in its colour: red for what failed, green for what is done, yellow for what moves.
pub(super) fn paint_state(state: &str, width: usize, colours: bool) -> String {
    let padded = format!("{state:<width$}");
    let code = match state {
        "succeeded" | "COMPLETE" | "delivered" => "32",
        "failed" | "FAILED" | "parked" => "31",
        "cancelled" | "dropped" | "merged" => "2",
        _ => "33",
    };
    if colours {
        format!("\u{1b}[{code}m{padded}\u{1b}[0m")
    } else {
        padded
    }
}

/// `12s`, `3m`, `2h`, `5d`: one unit is enough.
pub(super) fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else {
        return since.to_owned();
    };
    span(now.duration_since(since).as_secs())
}

/// The same for a number of seconds.
pub(super) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Prints a line. A reader that has gone away, as after `| head`, ends the command quietly.
pub(super) fn say(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// What stands in a text that a stranger wrote is shown, not obeyed.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `500`, where JSON has `500.0`.
pub(super) fn number(value: &Value) -> String {
    value
        .as_f64()
        .map_or_else(|| value.to_string(), |number| number.to_string())
}

/// An argument such as `90s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "a duration such as 90s or 5m".to_owned())
}
