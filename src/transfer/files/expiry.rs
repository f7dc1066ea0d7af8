//! Until when a signed address holds, as far as it says so itself.

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};
use reqwest::Url;

/// Whether an address says that it holds no longer. The names are those of Google's and Amazon's object stores, Amazon's
/// CloudFront and Azure's.
pub(super) fn is_over(url: &str, now: Timestamp) -> bool {
    Url::parse(url)
        .ok()
        .and_then(|url| end_of(&url))
        .is_some_and(|end| end <= now)
}

fn end_of(url: &Url) -> Option<Timestamp> {
    let value = |name: &str| {
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.into_owned())
    };
    for store in ["x-goog", "x-amz"] {
        let (date, seconds) = (format!("{store}-date"), format!("{store}-expires"));
        if let (Some(date), Some(seconds)) = (value(&date), value(&seconds)) {
            let date = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
            let date = TimeZone::UTC.to_timestamp(date).ok()?;
            return date
                .checked_add(seconds.parse::<i32>().ok()?.seconds())
                .ok();
        }
    }
    match (value("expires"), value("se")) {
        (Some(seconds), _) => Timestamp::from_second(seconds.parse().ok()?).ok(),
        (None, end) => end?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_store_tell_their_end() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().expect("a time");
        for (query, over) in [
            (
                "X-Goog-Date=20261130T110000Z&X-Goog-Expires=3600&X-Goog-Signature=ab",
                true,
            ),
            ("X-Goog-Date=20261130T110001Z&X-Goog-Expires=3600", false),
            ("X-Amz-Expires=60&X-Amz-Date=20261130T115900Z", true),
            ("X-Amz-Expires=61&X-Amz-Date=20261130T115900Z", false),
            ("Expires=1796040000&Signature=x", true),
            ("Expires=1796040001&Signature=x", false),
            ("sv=2024&se=2026-11-30T12%3A00%3A00Z&sig=x", true),
            ("se=2026-11-30T12%3A00%3A01Z", false),
            ("", false),
            ("expires=never", false),
            (
                "X-Amz-Expires=99999999999999&X-Amz-Date=20261130T115900Z",
                false,
            ),
            (
                "X-Amz-Expires=2147483647&X-Amz-Date=99991231T235959Z",
                false,
            ),
        ] {
            let url = format!("https://storage.example.com/a.png?{query}");
            assert_eq!(is_over(&url, now), over, "{query}");
        }
        assert!(!is_over("no address", now));
    }
}
