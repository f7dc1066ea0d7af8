//! What holds of the file as a whole.

use super::{GOOD, read};
use crate::support::numbers::Numbers;

#[test]
fn what_is_missing_altogether_is_asked_for() {
    for (table, lines) in [
        ("workspaces", 7..10),
        ("executors", 11..13),
        ("models", 14..18),
    ] {
        let kept = GOOD
            .lines()
            .enumerate()
            .filter(|(at, _)| !lines.contains(&(at + 1)));
        let file: String = kept.map(|(_, line)| format!("{line}\n")).collect();
        let mistakes = read(&file).expect_err(table);
        let asked = mistakes
            .iter()
            .any(|mistake| mistake.key == table && mistake.text.contains("at least one"));
        assert!(asked, "{mistakes:?}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let file = GOOD
        .replace("127.0.0.1:8080", "here")
        .replace("\"30s\"", "30")
        .replace("kind =", "knid =")
        .replace("12 }", "12, \"a b\" = 1 }");
    let mistakes = read(&file).expect_err("mistakes");
    let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [2, 5, 11, 17], "{mistakes:?}");
}

#[test]
fn a_text_that_is_no_toml_is_located() {
    let mistakes =
        read(&GOOD.replace("[executors.local]", "[executors.local")).expect_err("no TOML");
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 11), "{mistakes:?}");
    let twice = GOOD.replace("kind = \"local\"", "kind = \"local\"\nkind = \"local\"");
    let mistakes = read(&twice).expect_err("a key twice");
    assert_eq!((mistakes.len(), mistakes[0].line), (1, 13), "{mistakes:?}");
}

#[test]
fn no_text_breaks_the_reader() {
    let shipped = include_str!("../../../models.toml");
    let pieces = [
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "#",
        "'''",
        "é",
        "\0",
        "9999999999999999999",
        "-1",
        "nan",
        "1979-05-27",
        "[[models]]",
    ];
    let mut numbers = Numbers::from(20_261_123);
    for _ in 0..5_000 {
        let mut text: Vec<char> = shipped.chars().collect();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(text.len());
            match numbers.below(4) {
                0 => text.truncate(at.max(1)),
                1 => drop(text.remove(at)),
                2 => text[at] = char::from(u8::try_from(32 + numbers.below(95)).expect("ASCII")),
                _ => drop(text.splice(at..at, numbers.one_of(&pieces).chars())),
            }
            if text.is_empty() {
                break;
            }
        }
        let text: String = text.into_iter().collect();
        let lines = text.lines().count().max(1);
        // To be read or refused, with lines that are there, is all that is asked of it.
        if let Err(mistakes) = read(&text) {
            assert!(!mistakes.is_empty(), "{text}");
            assert!(
                mistakes
                    .iter()
                    .all(|mistake| (1..=lines + 1).contains(&mistake.line)),
                "{mistakes:?}\n{text}"
            );
        }
    }
}
