//! Tables for containers; no engine is needed to judge them.

use std::{path::Path, sync::Arc};

use trainhook::{
    config,
    executor::{Registry, model_mistakes},
};

/// All mistakes of a file with these keys in an executor's and a model's table.
fn mistakes(executor: &str, model: &str) -> Vec<String> {
    let text = format!(
        "[executors.docker]\nkind = \"container\"\n{executor}\n[models.job]\nexecutor = \"docker\"\ncommand = [\"true\"]\n\
         [models.job.container]\n{model}\n"
    );
    let mut parsed = config::parse(&text, Path::new("/srv/models.toml"));
    let built = Registry::default().build(&mut parsed.executors, |_| Arc::default());
    let mistakes = match built {
        Ok(executors) => model_mistakes(parsed.model_tables, &executors),
        Err(mistakes) => mistakes,
    };
    mistakes
        .iter()
        .map(|mistake| format!("{}: {}", mistake.key, mistake.text))
        .collect()
}

fn one(executor: &str, model: &str, key: &str, words: &str) {
    let found = mistakes(executor, model);
    let [only] = found.as_slice() else {
        panic!("{executor}{model}: {found:?}")
    };
    assert!(
        only.starts_with(&format!("{key}: ")) && only.contains(words),
        "{only}"
    );
}

#[test]
fn a_whole_table_is_fine() {
    let executor = "socket = \"/run/docker.sock\"\nimage = \"a/b:1\"\nnetwork = \"none\"\npull = \"always\"\npull_timeout = \"5m\"\n\
         gpus = [0, 1]\nruntime = \"nvidia\"\nshm_size = \"2GB\"\nsupervisor = \"path:/opt/trainhook\"\nenv = { A = \"b\" }\n\
         mounts = [\"/data:/data:ro\", \"cache:/cache\", \"./here:/there:rw\"]\n\
         registry = { server = \"ghcr.io\", username = \"me\", password = { env = \"TOKEN\" } }\n\
         extra = { HostConfig = { IpcMode = \"host\", Ulimits = [{ Name = \"memlock\", Soft = -1, Hard = -1 }] } }";
    let model = "image = \"c:1\"\nnetwork = \"host\"\nmounts = [\"/more:/more\"]\nworkdir = \"/app\"\nshm_size = \"1GB\"";
    assert_eq!(mistakes(executor, model), Vec::<String>::new());
}

#[test]
fn mistakes_say_what_to_write() {
    let at = |key: &str| format!("executors.docker.{key}");
    one(
        "host = \"docker\"",
        "",
        &at("host"),
        "unix:///var/run/docker.sock",
    );
    one("host = \"ssh://docker\"", "", &at("host"), "is not spoken");
    one(
        "host = \"https://docker:2376\"",
        "",
        &at("host"),
        "with the key tls",
    );
    one(
        "socket = \"/a\"\ntls = { ca = \"a\", cert = \"b\", key = \"c\" }",
        "",
        &at("tls"),
        "is for a host",
    );
    one(
        "host = \"tcp://a:1\"\ntls = { ca = \"a\", cert = \"b\" }",
        "",
        &at("tls.key"),
        "missing",
    );
    one(
        "host = \"tcp://a:1\"\nsocket = \"/b\"",
        "",
        &at("socket"),
        "one is enough",
    );
    one(
        "host = \"/a\"\npull = \"sometimes\"",
        "",
        &at("pull"),
        "\"never\", \"missing\" or \"always\"",
    );
    one(
        "host = \"/a\"\nuser = \"nobody\"",
        "",
        &at("user"),
        "must be numbers",
    );
    one(
        "host = \"/a\"\nmounts = [\"data\"]",
        "",
        &at("mounts"),
        "\"data\" is no mount",
    );
    one(
        "host = \"/a\"\nmounts = [\"/data:/\"]",
        "",
        &at("mounts"),
        "is no mount",
    );
    one(
        "host = \"/a\"\nmounts = [\"/data:/x:rx\"]",
        "",
        &at("mounts"),
        "is no mount",
    );
    one(
        "host = \"/a\"\nmounts = [\"/data:/x/../..\"]",
        "",
        &at("mounts"),
        "is no mount",
    );
    one(
        "host = \"/a\"\nimage = \"a b\"",
        "",
        &at("image"),
        "must name an image",
    );
    one(
        "host = \"/a\"\nsupervisor = \"magic\"",
        "",
        &at("supervisor"),
        "\"sent\"",
    );
    one(
        "host = \"/a\"\nregistry = { username = \"me\", password = \"p\" }",
        "",
        &at("registry.password"),
        "",
    );
    one(
        "host = \"/a\"\nextra = { HostConfig = { IpcMod = \"host\" } }",
        "",
        &at("extra"),
        "has no HostConfig.IpcMod",
    );
    one(
        "host = \"/a\"\nextra = { Entrypoint = [\"sh\"] }",
        "",
        &at("extra"),
        "Entrypoint is not to be changed",
    );
    one(
        "host = \"/a\"\nimages = \"a\"",
        "",
        &at("images"),
        "did you mean `image`?",
    );
    one(
        "host = \"/a\"",
        "workdir = \"app\"",
        "models.job.container.workdir",
        "must be a path in the image",
    );
    one(
        "host = \"/a\"",
        "user = \"1\"",
        "models.job.container.user",
        "unknown key",
    );
}
