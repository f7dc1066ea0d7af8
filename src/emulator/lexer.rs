//! The words of a GraphQL query.

use serde_json::{Number, Value};

use super::query::SyntaxError;

/// One word of a query; white space, commas and comments are gone.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// One of `{ } ( ) [ ] : ! $ = @ .`
    Mark(char),
    /// A name or keyword.
    Name(String),
    /// A string or a number.
    Literal(Value),
}

/// Cuts a query into its words.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut lexer = Lexer { rest: text };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next_token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn next_token(&mut self) -> Result<Option<Token>, SyntaxError> {
        self.skip_blanks();
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let token = match first {
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '!' | '$' | '=' | '@' | '.' => {
                self.take(1);
                Token::Mark(first)
            }
            'A'..='Z' | 'a'..='z' | '_' => {
                Token::Name(self.take_while(|c| c.is_ascii_alphanumeric() || c == '_'))
            }
            '-' | '0'..='9' => Token::Literal(Value::Number(self.take_number()?)),
            '"' => Token::Literal(Value::String(self.take_string()?)),
            other => return Err(SyntaxError(format!("unexpected character {other:?}"))),
        };
        Ok(Some(token))
    }

    fn skip_blanks(&mut self) {
        loop {
            let blank = |c: char| c.is_whitespace() || c == ',' || c == '\u{feff}';
            self.rest = self.rest.trim_start_matches(blank);
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        self.take(end).to_owned()
    }

    fn take_number(&mut self) -> Result<Number, SyntaxError> {
        let digits =
            self.take_while(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
        serde_json::from_str(&digits).map_err(|_| SyntaxError(format!("{digits} is not a number")))
    }

    fn take_string(&mut self) -> Result<String, SyntaxError> {
        if let Some(block) = self.rest.strip_prefix("\"\"\"") {
            let end = block.find("\"\"\"").ok_or_else(unfinished_string)?;
            self.take(3 + end + 3);
            return Ok(block[..end].trim().to_owned());
        }
        let end = end_of_string(self.rest).ok_or_else(unfinished_string)?;
        // GraphQL's escapes are those of JSON.
        let quoted = self.take(end);
        serde_json::from_str(quoted).map_err(|_| SyntaxError(format!("{quoted} is not a string")))
    }
}

/// The length of the quoted string at the beginning of `text`, quotes and all.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            '"' if !escaped => return Some(at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

fn unfinished_string() -> SyntaxError {
    SyntaxError("a string has no end".to_owned())
}
