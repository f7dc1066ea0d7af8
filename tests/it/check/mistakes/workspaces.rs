//! `[workspaces.…]`, broken once in each rule.

use super::{added, broken};

#[test]
fn mistakes_of_workspaces() {
    let head = "[workspaces.main]";
    added(
        head,
        "path = \"team\"",
        8,
        "workspaces.main.path",
        "begin with /",
    );
    added(
        head,
        "endpoint = \"http://api.labelbox.com/graphql\"",
        8,
        "workspaces.main.endpoint",
        "https://",
    );
    added(
        head,
        "models = [\"digts\"]",
        8,
        "workspaces.main.models",
        "no [models.digts]",
    );
    broken(
        "[{ env = \"HOOK\" }]",
        "[]",
        8,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "[{ env = \"HOOK\" }]",
        "\"s3cret\"",
        8,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "[{ env = \"HOOK\" }]",
        "[\"s3cret\"]",
        8,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "webhook_secrets = [{ env = \"HOOK\" }]\n",
        "",
        7,
        "workspaces.main.webhook_secrets",
        "list of secrets",
    );
    broken(
        "{ file = \"key\" }",
        "\"s3cret\"",
        9,
        "workspaces.main.api_key",
        "never as its value",
    );
    broken(
        "{ file = \"key\" }",
        "{ flie = \"key\" }",
        9,
        "workspaces.main.api_key",
        "never as its value",
    );
    broken(
        "api_key = { file = \"key\" }\n",
        "",
        7,
        "workspaces.main.api_key",
        "is missing",
    );
    let second = "[workspaces.other]\nwebhook_secrets = [{ env = \"HOOK\" }]\napi_key = { env = \"KEY\" }\n\n[executors.local]";
    broken(
        "[executors.local]",
        second,
        11,
        "workspaces.other.path",
        "the same path",
    );
}
