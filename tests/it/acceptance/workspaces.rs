//! Workspaces side by side: each has its own path, secrets, models and Labelbox.

use std::{fs, path::Path};

use tempfile::TempDir;
use tokio::net::TcpListener;
use trainhook::{
    config::Secret,
    emulator::{Emulator, Options},
};

use super::jobs;
use crate::support::{
    clicks::{accepted, address, body_for, post_at},
    labelbox_door::signed,
    raw_http::{Answer, ask},
    stack::{LIMIT, SECRET, Stack, model, settings, workspace},
};

const OTHER_SECRET: &str = "the secret of the second workspace";
const OTHER_KEY: &str = "the key of the second workspace";

/// A stack whose workspace `ours` is at `/ours`, and a second one at `/theirs` with a Labelbox of its own,
/// where only the model `shared` is offered.
struct Two {
    stack: Stack,
    theirs: Emulator,
    _secrets: TempDir,
}

impl Two {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let api_key = Some(Secret::new(OTHER_KEY));
        let theirs = Emulator::start(
            listener.expect("a port is free"),
            Options {
                api_key,
                ..Options::default()
            },
        );
        let theirs = theirs.expect("the emulator starts");
        let secrets = tempfile::tempdir().expect("a folder for secrets");
        let write = |name: &str, text: &str| fs::write(secrets.path().join(name), text);
        write("secret", OTHER_SECRET).expect("the folder is writable");
        write("key", OTHER_KEY).expect("the folder is writable");
        let their_table = elsewhere(
            &workspace("theirs", "/theirs", &theirs.graphql_url()),
            secrets.path(),
        );
        let stack = Stack::start_whole(|endpoint| {
            let our_table = workspace("ours", "/ours", endpoint);
            let settings = settings();
            let script = "echo $TRAINHOOK_JOB_ID >> runs";
            let models = ["own", "shared"]
                .map(|slug| model(slug, script, ""))
                .concat();
            format!(
                "{settings}{our_table}{their_table}models = [\"shared\"]\n\
                 [executors.local]\nkind = \"local\"\n{models}"
            )
        })
        .await;
        Self {
            stack,
            theirs,
            _secrets: secrets,
        }
    }

    async fn models(&self, path: &str, secret: &str) -> Answer {
        let (path, signature) = (format!("{path}/models"), signed(secret, b""));
        let headers = [("X-Hub-Signature", signature.as_str())];
        ask(address(&self.stack), "GET", &path, &headers, None).await
    }
}

/// The workspace's table, with its secret and key in another folder.
fn elsewhere(table: &str, folder: &Path) -> String {
    ["secret", "key"]
        .iter()
        .fold(table.to_owned(), |table, name| {
            let there = folder.join(name);
            table.replace(
                &format!("file = \"{name}\""),
                &format!("file = \"{}\"", there.display()),
            )
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_workspace_tells_its_own_labelbox_with_its_own_key() {
    let two = Two::start().await;
    let our_run = two.stack.new_run();
    let their_run = two.theirs.create_model_run(None, "a run").1;
    accepted(&post_at(&two.stack, "/ours", SECRET, &body_for(&our_run, "own")).await);
    accepted(
        &post_at(
            &two.stack,
            "/theirs",
            OTHER_SECRET,
            &body_for(&their_run, "shared"),
        )
        .await,
    );
    two.stack.told(&our_run, "COMPLETE").await;
    let told = two.theirs.wait_for(&their_run, LIMIT, |timeline| {
        timeline.iter().any(|entry| entry.status == "COMPLETE")
    });
    told.await.expect("their Labelbox is told");
    for (emulator, foreign) in [(&two.stack.emulator, &their_run), (&two.theirs, &our_run)] {
        let asked = emulator.requests();
        let strayed = asked
            .iter()
            .find(|call| call.body.to_string().contains(foreign.as_str()));
        assert_eq!(strayed.map(|call| &call.body), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_one_workspace_does_not_open_the_other() {
    let two = Two::start().await;
    let run = two.stack.new_run();
    for (path, wrong) in [("/ours", OTHER_SECRET), ("/theirs", SECRET)] {
        let refusal = post_at(&two.stack, path, wrong, &body_for(&run, "shared")).await;
        assert_eq!(
            (refusal.status, refusal.error_code().as_str()),
            (401, "signature_mismatch")
        );
        assert_eq!(two.models(path, wrong).await.status, 401);
    }
    assert_eq!(
        post_at(&two.stack, "", SECRET, &body_for(&run, "shared"))
            .await
            .status,
        404
    );
    assert!(jobs(&two.stack).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_a_workspace_does_not_list_is_neither_offered_nor_started_there() {
    let two = Two::start().await;
    let offered = two.models("/theirs", OTHER_SECRET).await;
    assert_eq!(offered.body, r#"{"shared":{}}"#);
    let ours = two.models("/ours", SECRET).await;
    assert_eq!(ours.body, r#"{"own":{},"shared":{}}"#);
    let run = two.theirs.create_model_run(None, "a run").1;
    let refusal = post_at(&two.stack, "/theirs", OTHER_SECRET, &body_for(&run, "own")).await;
    assert_eq!(
        (refusal.status, refusal.error_code().as_str()),
        (404, "unknown_model_type")
    );
    let reason = refusal.json()["error"]["message"].to_string();
    assert!(reason.contains("shared"), "{reason}");
    assert!(jobs(&two.stack).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_run_id_in_two_workspaces_is_two_jobs() {
    let two = Two::start().await;
    let run = two.stack.new_run();
    let body = body_for(&run, "shared");
    let (ours, ours_repeats) = accepted(&post_at(&two.stack, "/ours", SECRET, &body).await);
    let (theirs, theirs_repeats) =
        accepted(&post_at(&two.stack, "/theirs", OTHER_SECRET, &body).await);
    assert!(ours != theirs && !ours_repeats && !theirs_repeats);
    two.stack.told(&run, "COMPLETE").await;
    // Their Labelbox knows no such run, so their job must not begin.
    two.stack
        .server
        .logged("does not exist in Labelbox, or the API key of workspace theirs")
        .await;
    assert_eq!(two.stack.job(&theirs)["job"]["cause"], "preflight");
    assert_eq!(two.stack.lines("runs"), [ours]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_listed_secret_opens_and_no_other() {
    let secrets = tempfile::tempdir().expect("a folder for secrets");
    let new = secrets.path().join("new");
    fs::write(&new, format!("{OTHER_SECRET}\n")).expect("the folder is writable");
    let stack = Stack::start_whole(|endpoint| {
        let both = format!(
            "{{ file = \"secret\" }}, {{ file = \"{}\" }}",
            new.display()
        );
        let workspace = workspace("main", "/", endpoint).replace("{ file = \"secret\" }", &both);
        let executor = "[executors.local]\nkind = \"local\"\n";
        format!(
            "{}{workspace}{executor}{}",
            settings(),
            model("digits", "true", "")
        )
    })
    .await;
    for secret in [SECRET, OTHER_SECRET] {
        let run = stack.new_run();
        accepted(&post_at(&stack, "", secret, &body_for(&run, "digits")).await);
        stack.told(&run, "COMPLETE").await;
    }
    let refusal = post_at(&stack, "", "neither", &body_for(&stack.new_run(), "digits")).await;
    assert_eq!(
        (refusal.status, refusal.error_code().as_str()),
        (401, "signature_mismatch")
    );
}
