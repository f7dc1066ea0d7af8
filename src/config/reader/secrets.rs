//! Secrets by reference, never by value.

use std::path::Path;

use crate::config::{SecretRef, Table, table::Content};

impl Table {
    /// A secret by reference: `{ env = "NAME" }`, or `{ file = "PATH" }` beside `base`.
    pub fn secret(&mut self, key: &str, base: &Path) -> Option<SecretRef> {
        secret_ref(self, key, base)
    }
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
pub(super) fn secret_ref(table: &mut Table, key: &str, base: &Path) -> Option<SecretRef> {
    const FORM: &str =
        "a secret is written { env = \"NAME\" } or { file = \"PATH\" }, never as its value";
    let value = table.take(key)?;
    let reference = match value.content {
        Content::Table(inner) => secret_in(inner, base),
        _ => None,
    };
    if reference.is_none() {
        table.mistake(key, FORM);
    }
    reference
}

pub(super) fn secret_in(mut table: Table, base: &Path) -> Option<SecretRef> {
    let (env, file) = (table.string("env"), table.string("file"));
    if !table.finish().is_empty() {
        return None;
    }
    match (env, file) {
        (Some(name), None) if is_env_name(&name) => Some(SecretRef::Env(name)),
        (None, Some(path)) if !path.is_empty() => Some(SecretRef::File(base.join(path))),
        _ => None,
    }
}

pub(super) fn is_env_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(fits) && !name.starts_with(|c: char| c.is_ascii_digit())
}
