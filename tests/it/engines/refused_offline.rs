//! Jobs that an engine would refuse, found before anybody is asked.

use std::path::Path;

use super::models::run;
use crate::support::stack::model;

const CONTAINER: &str = "[executors.local]\nkind = \"container\"\nsocket = \"/nowhere.sock\"\n";
#[cfg(feature = "kubernetes")]
const KUBERNETES: &str = "[executors.local]\nkind = \"kubernetes\"\nsupervisor = \"image:x\"\n";
const RAY: &str = "[executors.local]\nkind = \"ray\"\naddress = \"http://127.0.0.1:1\"\n";

/// `check` refuses this in words, at the line that begins so.
fn refused(executor: &str, said: &str, line: &str, words: &str) {
    let head = "[server]\njobs_listen = \"127.0.0.1:0\"\n";
    let file = format!("{head}{executor}{}", model("job", "true", said));
    let (code, text) = run(&["check"], &file);
    assert_eq!(code, Some(2), "{file}: {text}");
    // The workspace stands before it.
    let before = crate::support::stack::workspace("main", "/", "http://127.0.0.1:1/graphql");
    let whole = before + &file;
    let number = whole
        .lines()
        .position(|one| one.starts_with(line))
        .expect("the line")
        + 1;
    let located = format!("models.toml:{number}: ");
    let found = text.lines().find(|one| one.contains(&located));
    assert!(
        found.is_some_and(|found| found.contains(words)),
        "{located}{words} in {text}"
    );
    assert!(text.ends_with("1 mistake\n"), "{text}");
}

#[test]
fn a_model_without_an_image_is_refused_where_it_stands() {
    refused(
        CONTAINER,
        "workdir = \"/tmp\"",
        "[models.job]",
        "no image is named",
    );
    #[cfg(feature = "kubernetes")]
    refused(KUBERNETES, "", "[models.job]", "no image is named");
}

#[test]
fn a_model_whose_workdir_no_container_can_have_is_refused() {
    let said = "workdir = \"/no/such/folder\"\ncontainer = { image = \"x\" }";
    assert!(!Path::new("/no/such/folder").exists());
    refused(
        CONTAINER,
        said,
        "[models.job]",
        "is no folder on this machine",
    );
}

#[cfg(feature = "kubernetes")]
#[test]
fn what_the_api_would_refuse_of_a_pod_is_refused_on_its_line() {
    let pod = |said: &str, line: &str, words: &str| {
        let said = format!("[models.job.kubernetes]\nimage = \"x\"\n{said}");
        refused(KUBERNETES, &said, line, words);
    };
    pod(
        "labels = { \"a b\" = \"x\" }",
        "labels",
        "no name of a label",
    );
    pod(
        "labels = { team = \"-x\" }",
        "labels",
        "no value of a label",
    );
    pod(
        "node_selector = { \"/x\" = \"y\" }",
        "node_selector",
        "no name of a label",
    );
    pod(
        "annotations = { \"\" = \"y\" }",
        "annotations",
        "no name of an annotation",
    );
    pod(
        "volumes = { My_Data = { emptyDir = {} } }",
        "volumes",
        "no name of a volume",
    );
    pod(
        "volumes = { data = {} }",
        "volumes",
        "must say where it comes from",
    );
    pod(
        "mounts = [\"data:/data\"]",
        "[models.job]",
        "a volume \"data\" that volumes do not have",
    );
    let twice = "volumes = { a = { emptyDir = {} } }\nmounts = [\"a:/x\", \"a:/x\"]";
    pod(twice, "[models.job]", "two volumes are mounted at /x");
    let unknown = "volumes = { a = { emptydir = {} } }\nmounts = [\"a:/x\"]";
    pod(unknown, "volumes", "the API has no volumes.0.emptydir");
}

#[test]
fn no_executor_says_what_supervisors_and_commands_are_told_by_us() {
    let env = "env = { TRAINHOOK_JOB_DIR = \"/tmp\" }\nimage = \"x\"\n";
    refused(
        &format!("{CONTAINER}{env}"),
        "workdir = \"/tmp\"",
        "env",
        "TRAINHOOK_",
    );
    let extra = "extra = { Env = [\"A=b\", \"TRAINHOOK_TOKEN=x\"] }\nimage = \"x\"\n";
    refused(
        &format!("{CONTAINER}{extra}"),
        "workdir = \"/tmp\"",
        "extra",
        "TRAINHOOK_",
    );
    let variables = "runtime_env = { env_vars = { TRAINHOOK_JOB_DIR = \"/tmp\" } }\n";
    refused(
        &format!("{RAY}{variables}"),
        "",
        "runtime_env",
        "TRAINHOOK_",
    );
    #[cfg(feature = "kubernetes")]
    {
        refused(&format!("{KUBERNETES}{env}"), "", "env", "TRAINHOOK_");
        let variable = "{ name = \"TRAINHOOK_TOKEN\", value = \"x\" }";
        let pod = format!(
            "pod = {{ containers = [{{ name = \"training\", env = [{variable}] }}] }}\nimage = \"x\"\n"
        );
        refused(&format!("{KUBERNETES}{pod}"), "", "pod", "TRAINHOOK_");
    }
}
