//! Durations as `"90s"`, `"2h"`; sizes as `"1GB"`.

use std::time::Duration;

/// The longest duration that makes sense, a hundred years: calendars end somewhere, and sums must not.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Reads `"250ms"`, `"90s"`, `"5m"`, `"2h"`, `"7d"`; one number, one unit. None if it is anything else, or
/// longer than a hundred years.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let duration = number.checked_mul(milliseconds).map(Duration::from_millis);
    duration.filter(|duration| *duration <= LONGEST)
}

/// Writes a duration as [`parse_duration`] reads it, in the largest unit that divides it.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
        (1, "ms"),
    ];
    let unit = units
        .iter()
        .find(|(size, _)| milliseconds >= *size && milliseconds.is_multiple_of(*size));
    unit.map_or_else(
        || "0s".to_owned(),
        |(size, name)| format!("{}{name}", milliseconds / size),
    )
}

/// Reads `"512B"`, `"64KB"`, `"10MB"`, `"1GB"`, `"2TB"` (powers of 1000) and `"64MiB"`, `"1GiB"` (of 1024).
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// Reads `"1%"`, `"0.5%"`, `"12.25%"` as hundredths of a percent, from none to all.
pub(super) fn parse_share(text: &str) -> Option<u32> {
    let (whole, part) = match text.strip_suffix('%')?.trim_end().split_once('.') {
        Some((whole, part)) => (whole, part),
        None => (text.strip_suffix('%')?.trim_end(), "0"),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 {
        return None;
    }
    let hundredths: u32 = format!("{part:0<2}").parse().ok()?;
    let share = whole
        .parse::<u32>()
        .ok()?
        .checked_mul(100)?
        .checked_add(hundredths)?;
    (share <= 10_000).then_some(share)
}

/// Writes a size for people: `1.5 GB`.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let units = [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1000, "KB"),
    ];
    #[expect(clippy::cast_precision_loss, reason = "one decimal place is shown")]
    let scaled = |size: u64| bytes as f64 / size as f64;
    let unit = units.iter().find(|(size, _)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(size, name)| format!("{:.1} {name}", scaled(*size)),
    )
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}
