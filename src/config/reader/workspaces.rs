//! `[workspaces.<name>]`.

use std::path::Path;

use super::{
    Found, named_tables,
    secrets::{secret_in, secret_ref},
};
use crate::config::{ModelEntry, SecretRef, Table, Workspace, table::Content};

/// Where Labelbox's API is (captured from labelbox 7.17.0).
const ENDPOINT: &str = "https://api.labelbox.com/graphql";

/// Below the limit of Labelbox's smallest plan, 1,500 (docs: limits).
const REQUESTS_PER_MINUTE: u32 = 1200;

pub(super) fn workspaces(
    root: &mut Table,
    base: &Path,
    models: &[Found<ModelEntry>],
) -> Vec<Found<Workspace>> {
    let mut workspaces: Vec<Found<Workspace>> = Vec::new();
    for (name, line, mut table) in named_tables(root, "workspaces", "a Labelbox organisation") {
        let path = path(&mut table);
        if let Some(other) = workspaces.iter().find(|found| found.value.path == path) {
            let text = format!(
                "workspace {} has the same path: give each its own, such as \"/{name}\"",
                other.value.name
            );
            table.mistake("path", text);
        }
        let unsigned = table.boolean("unsigned").unwrap_or(false);
        let webhook_secrets = match (unsigned, table.has("webhook_secrets")) {
            (true, false) => Vec::new(),
            _ => webhook_secrets(&mut table, base),
        };
        if unsigned && !webhook_secrets.is_empty() {
            table.mistake(
                "unsigned",
                "contradicts webhook_secrets: take one of them away",
            );
        }
        if !table.has("api_key") {
            table.mistake(
                "api_key",
                "is missing: write { env = \"LABELBOX_API_KEY\" } or { file = \"…\" }",
            );
        }
        let api_key = secret_ref(&mut table, "api_key", base);
        let endpoint = endpoint(&mut table);
        let offered = offered(&mut table, models);
        let requests_per_minute = table.integer("requests_per_minute", 60..1_000_001);
        root.adopt(table);
        let api_key = api_key.unwrap_or(SecretRef::Env(String::new()));
        let value = Workspace {
            name,
            path,
            webhook_secrets,
            unsigned,
            api_key,
            endpoint,
            models: offered,
            requests_per_minute: requests_per_minute.unwrap_or(REQUESTS_PER_MINUTE),
        };
        workspaces.push(Found { line, value });
    }
    workspaces
}

/// `/` or `/team-a`: what precedes `/models` in the URL that is registered in Labelbox.
fn path(table: &mut Table) -> String {
    let path = table.string("path").unwrap_or_else(|| "/".to_owned());
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./~".contains(c);
    if !path.starts_with('/') || !path.chars().all(fits) || path.contains("//") {
        table.mistake(
            "path",
            "must begin with / and hold only letters, digits and - _ . ~ between slashes",
        );
        return "/".to_owned();
    }
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

fn webhook_secrets(table: &mut Table, base: &Path) -> Vec<SecretRef> {
    let form =
        "must be a list of secrets: [{ env = \"LABELBOX_WEBHOOK_SECRET\" }] or [{ file = \"…\" }]";
    let Some(value) = table.take("webhook_secrets") else {
        table.mistake("webhook_secrets", form);
        return Vec::new();
    };
    let secrets: Option<Vec<SecretRef>> = match value.content {
        Content::List(values) => values
            .into_iter()
            .map(|value| match value.content {
                Content::Table(inner) => secret_in(inner, base),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    match secrets {
        Some(secrets) if !secrets.is_empty() => secrets,
        _ => {
            table.mistake("webhook_secrets", form);
            Vec::new()
        }
    }
}

/// The API key travels there: plain HTTP only on this machine.
fn endpoint(table: &mut Table) -> String {
    let endpoint = table
        .string("endpoint")
        .unwrap_or_else(|| ENDPOINT.to_owned());
    match reqwest::Url::parse(&endpoint) {
        Ok(url) if url.scheme() == "https" && url.has_host() => {}
        Ok(url) if url.scheme() == "http" && is_loopback(&url) => {}
        _ => table.mistake(
            "endpoint",
            "must be an https:// address (http:// only on this machine's loopback)",
        ),
    }
    endpoint
}

fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn offered(table: &mut Table, models: &[Found<ModelEntry>]) -> Option<Vec<String>> {
    let offered = table.strings("models")?;
    for slug in &offered {
        if !models.iter().any(|model| model.value.slug == *slug) {
            table.mistake("models", format!("there is no [models.{slug}]"));
        }
    }
    Some(offered)
}
