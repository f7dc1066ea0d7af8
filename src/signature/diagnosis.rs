//! Why a signature is not the one that it should be, found by trying what goes wrong in practice.
//!
//! For people who set the connection up; nothing here lets a request in, and no secret is part of an answer.

use std::borrow::Cow;

use hmac::Mac;
use serde_json::{Serializer, Value, ser::Formatter};

use super::{WebhookSecrets, mac, parse};
use crate::config::Secret;

/// Longer bodies are not searched: each try reads the whole of it.
const LONGEST_BODY: usize = 64 * 1024;

impl WebhookSecrets {
    /// In words, why `header` is not a signature of `body`; none if no common mistake explains it.
    #[must_use]
    pub fn diagnose(&self, header: &str, body: &[u8]) -> Option<&'static str> {
        let Some(claimed) = parse(header) else {
            return diagnose_form(header);
        };
        if body.len() > LONGEST_BODY {
            return None;
        }
        let matches =
            |secret: &Secret, body: &[u8]| mac(secret, body).verify_slice(&claimed).is_ok();
        let by_body = changed_bodies(body)
            .into_iter()
            .find(|(_, changed)| (self.secrets.iter()).any(|secret| matches(secret, changed)));
        by_body.map(|(reason, _)| reason).or_else(|| {
            let secrets = self.secrets.iter().flat_map(mistyped);
            let mut found = secrets.filter(|(_, secret)| matches(secret, body));
            found.next().map(|(reason, _)| reason)
        })
    }
}

fn diagnose_form(header: &str) -> Option<&'static str> {
    let header = header.trim();
    let is_hex = |text: &str| text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit());
    match header.split_once('=') {
        Some(("sha256", _)) => {
            Some("it is a SHA-256 signature, as other senders make it; Labelbox makes SHA-1")
        }
        Some(("sha1", digits)) if is_hex(digits) => Some(
            "its digits are in upper case, or it has spaces around it; Labelbox writes lower case",
        ),
        None if is_hex(header) => Some("the sha1= before the digits is missing"),
        _ => None,
    }
}

/// What a body may have been when it was signed, each with the reason that follows if it was.
fn changed_bodies(body: &[u8]) -> Vec<(&'static str, Cow<'_, [u8]>)> {
    const ADDED: &str = "it would match with the newline at the end of the body removed: something on the way adds one";
    const REMOVED: &str =
        "it would match with a newline at the end of the body: something on the way removes it";
    const SPACED: &str = "it would match the same JSON with other spaces or escapes: something on the way rewrites the body";
    let mut bodies: Vec<(&'static str, Cow<'_, [u8]>)> = Vec::new();
    for ending in ["\n", "\r\n"] {
        if let Some(shorter) = body.strip_suffix(ending.as_bytes()) {
            bodies.push((ADDED, shorter.into()));
        }
        bodies.push((REMOVED, [body, ending.as_bytes()].concat().into()));
    }
    if !body.is_empty() {
        let lost = "it would match an empty body: the sender signs nothing, or signs before it writes the body";
        bodies.push((lost, Cow::Borrowed(b"")));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        bodies.extend(spellings(&value).map(|text| (SPACED, text.into_bytes().into())));
    }
    bodies
}

/// The same JSON as common programs write it: compact or with spaces, with or without escapes for what is not ASCII.
fn spellings(value: &Value) -> impl Iterator<Item = String> {
    let spaced = {
        let mut text = Vec::new();
        let written =
            serde::Serialize::serialize(value, &mut Serializer::with_formatter(&mut text, Spaced));
        written.ok().and_then(|()| String::from_utf8(text).ok())
    };
    let plain = [Some(value.to_string()), spaced];
    plain.into_iter().flatten().flat_map(|text| {
        let escaped = escape(&text);
        [text, escaped]
    })
}

fn escape(text: &str) -> String {
    let mut units = [0; 2];
    text.chars().fold(String::new(), |mut escaped, c| {
        match c.is_ascii() {
            true => escaped.push(c),
            false => (c.encode_utf16(&mut units).iter())
                .for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}"))),
        }
        escaped
    })
}

/// `{"a": 1, "b": 2}`, as Python writes it.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: std::io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: std::io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: std::io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// What people make of a secret when they copy it.
fn mistyped(secret: &Secret) -> impl Iterator<Item = (&'static str, Secret)> {
    const NEWLINE: &str = "it would match with a newline at the end of the secret: the one in Labelbox was pasted with it";
    const SPACE: &str =
        "it would match with a space around the secret: the one in Labelbox was pasted with it";
    const QUOTES: &str =
        "it would match with the secret in quotes: the one in Labelbox was pasted with them";
    let text = secret.expose();
    let forms = [
        (NEWLINE, format!("{text}\n")),
        (NEWLINE, format!("{text}\r\n")),
        (SPACE, format!("{text} ")),
        (SPACE, format!(" {text}")),
        (QUOTES, format!("\"{text}\"")),
        (QUOTES, format!("'{text}'")),
    ];
    let forms = forms.map(|(reason, text)| (reason, Secret::new(text)));
    forms.into_iter()
}
