//! Texts in YAML, which takes JSON as it is but for characters that do not print.

use std::fmt::Write as _;

use serde_json::Value;

/// A text in quotes.
pub(super) fn text(text: &str) -> String {
    value(&Value::from(text))
}

/// Any value, in one line.
pub(super) fn value(value: &Value) -> String {
    let mut yaml = String::new();
    for character in value.to_string().chars() {
        let unprinted = character.is_control()
            || matches!(
                character,
                '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            );
        if unprinted {
            let _ = write!(yaml, "\\u{:04x}", u32::from(character));
        } else {
            yaml.push(character);
        }
    }
    yaml
}
