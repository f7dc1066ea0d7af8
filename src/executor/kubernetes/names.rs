//! Names and values as the API takes them (kubernetes.io/docs: object names, labels and selectors).

/// What a label says, or a node is chosen by.
pub(super) fn label(name: &str, value: &str) -> Option<String> {
    if !is_qualified(name) {
        return Some(
            "is no name of a label: it is a name of at most 63 letters, digits, \"-\", \"_\" and \".\", perhaps after a \
             domain and \"/\""
                .to_owned(),
        );
    }
    let fits = value.is_empty() || is_name(value);
    (!fits).then(|| {
        "is no value of a label: it has at most 63 letters, digits, \"-\", \"_\" and \".\", and begins and ends with a letter \
         or digit"
            .to_owned()
    })
}

/// What an annotation says, which may be anything.
pub(super) fn annotation(name: &str, _: &str) -> Option<String> {
    let text = "is no name of an annotation: it has the form of a label's";
    (!is_qualified(name)).then(|| text.to_owned())
}

/// RFC 1123: the name of a volume.
pub(super) fn is_volume(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn is_qualified(name: &str) -> bool {
    match name.split_once('/') {
        Some((domain, name)) => is_domain(domain) && is_name(name),
        None => is_name(name),
    }
}

fn is_domain(domain: &str) -> bool {
    domain.len() <= 253 && domain.split('.').all(is_volume)
}

fn is_name(name: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.len() <= 63
        && name.chars().all(fits)
        && is_end(name.chars().next())
        && is_end(name.chars().next_back())
}
