//! What holds of the file as a whole.

use super::{GOOD, read};

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
