//! Plain lines out of what was meant for a terminal.

/// Reasons are cut to this many characters.
const LINE_LIMIT: usize = 1000;

/// The line as it stood when it was last rewritten, without colours, control characters and outer blanks.
pub(super) fn plain_line(line: &str) -> String {
    let without_colours = strip_escapes(line);
    let last_rewrite = without_colours
        .rsplit('\r')
        .find(|segment| !segment.trim().is_empty());
    let visible = last_rewrite
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control() || *c == '\t');
    visible.collect::<String>().trim_end().to_owned()
}

/// Cuts to the longest reason that is kept.
pub(super) fn cut(line: &str) -> String {
    line.trim().chars().take(LINE_LIMIT).collect()
}

/// True for lines without words: rules, bars, percentages, and tqdm's lines with their rates.
pub(super) fn is_bar(line: &str) -> bool {
    let has_words = line.chars().filter(|c| c.is_alphabetic()).count() > 1;
    let has_bar = line.contains("%|") || line.contains('█') || line.contains('━');
    let has_rate = ["it/s", "s/it", "B/s"]
        .iter()
        .any(|rate| line.contains(rate));
    !has_words || has_bar || (has_rate && line.contains('%'))
}

/// Removes what ECMA-48 calls escape sequences: `ESC [ … letter`, `ESC ] … BEL` or `ESC \`, `ESC` and one more.
fn strip_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('[') => {
                characters.find(|c| ('\u{40}'..='\u{7e}').contains(c));
            }
            Some(']') => skip_command(&mut characters),
            // Character sets take one more.
            Some('(' | ')') => {
                characters.next();
            }
            _ => {}
        }
    }
    plain
}

fn skip_command(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(character) = characters.next() {
        let ends = character == '\u{1b}' && characters.next_if_eq(&'\\').is_some();
        if character == '\u{7}' || ends {
            return;
        }
    }
}
