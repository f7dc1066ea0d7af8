//! Texts cut into tokens, and entities told by tags: `B-` for an entity's first token, `I-` for its others.
//!
//! Characters are counted as Python counts them: a code point each, whatever its size in a file. Labelbox's entities
//! reach from their first character to their last one, which belongs to them.

use crate::{dataset::Location, formats::Note};

/// A marked part of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entity {
    /// The number of its class.
    pub(super) class: usize,
    pub(super) location: Location,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Its first character.
    pub(super) start: u64,
    /// Its last character.
    pub(super) end: u64,
    /// Whether an entity begins with it, and the entity's class.
    pub(super) tag: Option<(bool, usize)>,
}

/// Characters from a first one to before an end.
#[derive(Debug, Clone, Copy)]
struct Span {
    class: usize,
    start: u64,
    end: u64,
}

/// The tokens of a text: words, and signs one by one. A token never reaches across the edge of an entity.
pub(super) fn tokens<'t>(
    text: &'t str,
    entities: Vec<Entity>,
    note: &mut dyn FnMut(Note),
) -> Vec<Token<'t>> {
    let length = text.chars().count() as u64;
    let spans = spans(entities, length, note);
    let mut tokens = cut(text, &spans);
    let mut rest = tokens.iter_mut().peekable();
    for span in &spans {
        while rest.next_if(|token| token.start < span.start).is_some() {}
        let mut begins = true;
        while let Some(token) = rest.next_if(|token| token.start < span.end) {
            token.tag = Some((begins, span.class));
            begins = false;
        }
        if begins {
            note(Note::NoExtent);
        }
    }
    tokens
}

/// Entities in their order, none across another one, none beyond the text.
fn spans(mut entities: Vec<Entity>, length: u64, note: &mut dyn FnMut(Note)) -> Vec<Span> {
    entities
        .sort_by_key(|Entity { location, .. }| (location.start, std::cmp::Reverse(location.end)));
    let (mut spans, mut free) = (Vec::new(), 0);
    for Entity { class, location } in entities {
        let start = location.start;
        if start > location.end || start >= length {
            note(Note::NoExtent);
            continue;
        }
        if location.end >= length {
            note(Note::Outside);
        }
        let end = location.end.saturating_add(1).min(length);
        if start < free {
            note(Note::Overlap);
            continue;
        }
        free = end;
        spans.push(Span { class, start, end });
    }
    spans
}

/// What a character does to the token before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Word,
    /// A token of its own.
    Sign,
    Space,
    /// Belongs to whatever stands before it.
    Mark,
}

fn role(character: char) -> Role {
    match character {
        // Accents of their own, joiners, soft hyphens, and what varies the sign before.
        '\u{ad}'
        | '\u{300}'..='\u{36f}'
        | '\u{200c}'
        | '\u{200d}'
        // Hebrew's and Thai's signs above and below letters.
        | '\u{591}'..='\u{5bd}'
        | '\u{e47}'..='\u{e4e}'
        // What takes a letter's own vowel away, or varies it, in the scripts of India.
        | '\u{93c}'
        | '\u{94d}'
        | '\u{9bc}'
        | '\u{9cd}'
        | '\u{a3c}'
        | '\u{a4d}'
        | '\u{abc}'
        | '\u{acd}'
        | '\u{b3c}'
        | '\u{b4d}'
        | '\u{bcd}'
        | '\u{c4d}'
        | '\u{cbc}'
        | '\u{ccd}'
        | '\u{d4d}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{1f3fb}'..='\u{1f3ff}' => Role::Mark,
        // Ideographs are words by themselves.
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}' => Role::Sign,
        _ if character.is_whitespace() => Role::Space,
        _ if character.is_alphanumeric() || character == '_' => Role::Word,
        _ => Role::Sign,
    }
}

fn cut<'t>(text: &'t str, spans: &[Span]) -> Vec<Token<'t>> {
    let mut edges = spans
        .iter()
        .flat_map(|span| [span.start, span.end])
        .peekable();
    let mut tokens = Vec::new();
    // The token that is still open: its first byte, its first character, what it is.
    let mut open: Option<(usize, u64, Role)> = None;
    let mut close = |open: &mut Option<(usize, u64, Role)>, byte: usize, at: u64| {
        if let Some((first, start, _)) = open.take() {
            tokens.push(Token {
                text: text.get(first..byte).unwrap_or_default(),
                start,
                end: at - 1,
                tag: None,
            });
        }
    };
    for (at, (byte, character)) in (0_u64..).zip(text.char_indices()) {
        let mut edge = false;
        while edges.next_if(|next| *next <= at).is_some() {
            edge = true;
        }
        let role = role(character);
        let goes_on = match (open, role) {
            _ if edge => false,
            (Some(_), Role::Mark) => true,
            (Some((.., before)), Role::Word) => before == Role::Word,
            _ => false,
        };
        if !goes_on {
            close(&mut open, byte, at);
            open = (role != Role::Space).then_some((byte, at, role));
        }
    }
    close(&mut open, text.len(), text.chars().count() as u64);
    tokens
}
