//! Reading the keys of tables for containers.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use super::{
    body::as_body,
    engine::{Certificates, Engine},
    mounts::Mount,
    pull::Registry,
    settings::{Pull, User},
};
use crate::{
    config::{SecretRef, Table},
    executor::own_variable,
};

/// Keys of a container that make it an attempt of ours.
const OURS: [&str; 5] = ["Entrypoint", "Cmd", "Labels", "User", "OpenStdin"];

pub(super) fn engine(table: &mut Table, folder: &Path) -> Option<Engine> {
    let engine = address(table)?;
    let Some(certificates) = certificates(table, folder) else {
        return Some(engine);
    };
    let secured = engine.secured(certificates);
    secured.map_err(|text| table.mistake("tls", text)).ok()
}

fn certificates(table: &mut Table, folder: &Path) -> Option<Certificates> {
    let mut inner = table.table("tls")?;
    let [ca, cert, key] = ["ca", "cert", "key"].map(|name| inner.required_string(name));
    table.adopt(inner);
    Some(Certificates {
        ca: folder.join(ca?),
        cert: folder.join(cert?),
        key: folder.join(key?),
    })
}

fn address(table: &mut Table) -> Option<Engine> {
    let (socket, host) = (table.string("socket"), table.string("host"));
    let (key, parsed) = match (socket, host) {
        (Some(_), Some(_)) => (
            "socket",
            Err("and host are both given: one is enough".to_owned()),
        ),
        (Some(path), None) => ("socket", Engine::parse(&path)),
        (None, Some(host)) => ("host", Engine::parse(&host)),
        (None, None) => ("host", Engine::of_environment()),
    };
    parsed.map_err(|text| table.mistake(key, text)).ok()
}

pub(super) fn user(table: &mut Table, shares_files: bool) -> User {
    let own = User::own();
    let Some(text) = table.string("user") else {
        return own;
    };
    let user = text.parse().unwrap_or_else(|()| {
        table.mistake(
            "user",
            "must be numbers, as in \"1000\" or \"1000:100\": names differ between images",
        );
        own
    });
    // On a rootless engine its root is us.
    let may_be = user == own || user.uid == 0 || own.uid == 0 || !shares_files;
    if !may_be {
        let text = format!(
            "may only be {own} unless the server runs as root: nobody else can hand job directories over"
        );
        table.mistake("user", text);
    }
    user
}

pub(super) fn pull(table: &mut Table) -> Pull {
    match table.string("pull").as_deref() {
        Some("never") => Pull::Never,
        None | Some("missing") => Pull::Missing,
        Some("always") => Pull::Always,
        Some(_) => {
            table.mistake("pull", "must be \"never\", \"missing\" or \"always\"");
            Pull::Missing
        }
    }
}

pub(super) fn registry(table: &mut Table, folder: &Path) -> Option<Registry> {
    let mut inner = table.table("registry")?;
    let server = inner.string("server");
    let username = inner.required_string("username");
    let password = match inner.value("password") {
        Some(toml::Value::Table(secret)) => secret_in(&secret, folder),
        _ => None,
    };
    if password.is_none() {
        inner.mistake(
            "password",
            "must be { env = \"NAME\" } or { file = \"PATH\" }, never the password itself",
        );
    }
    table.adopt(inner);
    Some(Registry {
        server,
        username: username?,
        password: password?,
    })
}

fn secret_in(table: &toml::Table, folder: &Path) -> Option<SecretRef> {
    let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
    match (text("env"), text("file"), table.len()) {
        (Some(name), None, 1) => Some(SecretRef::Env(name.to_owned())),
        (None, Some(path), 1) => Some(SecretRef::File(folder.join(path))),
        _ => None,
    }
}

pub(super) fn image(table: &mut Table) -> Option<String> {
    let image = table.string("image")?;
    if image.is_empty() || image.contains(char::is_whitespace) {
        table.mistake(
            "image",
            "must name an image, such as \"pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime\"",
        );
    }
    Some(image)
}

pub(super) fn mounts(table: &mut Table, folder: &Path) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for text in table.strings("mounts").unwrap_or_default() {
        match Mount::parse(&text, folder) {
            Ok(mount) => mounts.push(mount),
            Err(why) => table.mistake("mounts", why),
        }
    }
    mounts
}

pub(super) fn env(table: &mut Table) -> BTreeMap<String, String> {
    let Some(mut inner) = table.table("env") else {
        return BTreeMap::new();
    };
    let names: Vec<String> = inner.keys().map(str::to_owned).collect();
    let env = names.into_iter().filter_map(|name| {
        let value = inner.string(&name)?;
        if let Some(text) = own_variable(&name) {
            inner.mistake(&name, text);
        }
        Some((name, value))
    });
    let env = env.collect();
    table.adopt(inner);
    env
}

/// The engine's own words, for all that has no key here. What its API does not know would be left out silently.
pub(super) fn extra(table: &mut Table) -> Map<String, Value> {
    let Some(value) = table.value("extra") else {
        return Map::new();
    };
    let Ok(Value::Object(extra)) = serde_json::to_value(value) else {
        table.mistake(
            "extra",
            "must be a table, such as { HostConfig = { IpcMode = \"host\" } }",
        );
        return Map::new();
    };
    if let Some(key) = OURS.iter().find(|key| extra.contains_key(**key)) {
        table.mistake(
            "extra",
            format!("{key} is not to be changed: the container would not be ours any more"),
        );
    } else if let Some(text) = variables_of(&extra).find_map(own_variable) {
        table.mistake("extra", format!("a variable of its Env {text}"));
    } else if let Err(why) = as_body(Value::Object(extra.clone())) {
        table.mistake("extra", why);
    }
    extra
}

/// The names in `Env`, whose entries are `NAME=value`.
fn variables_of(extra: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let entries = extra.get("Env").and_then(Value::as_array);
    let texts = entries.into_iter().flatten().filter_map(Value::as_str);
    texts.map(|text| text.split('=').next().unwrap_or_default())
}
