//! `jobs fetch`: a model comes home, and nothing else does.

use std::{fs, path::Path};

use super::start_model;
use crate::support::stack::{Stack, trainhook_in};

const MODEL: &str = "mkdir -p $TRAINHOOK_OUT_DIR/model/layers; cd $TRAINHOOK_OUT_DIR/model; echo weights > weights.bin; \
                     head -c 300000 /dev/zero > layers/large; : > empty; ln -s /etc/passwd secret; ln -s / everything; \
                     mkfifo pipe";

async fn trained() -> (Stack, String) {
    let stack = start_model(MODEL, "predictions = \"none\"").await;
    let (run, id) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    (stack, id)
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = trainhook_in(folder, arguments);
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_comes_home_without_what_its_links_lead_to() {
    let (stack, id) = trained().await;
    let said = stack.trainhook(&["jobs", "fetch", &id, "home"]);
    assert!(said.contains("3 files, 300.0 KB, are in home"), "{said}");
    assert!(
        said.contains("3 links or special files were left out"),
        "{said}"
    );
    let home = stack.folder.path().join("home");
    assert_eq!(
        fs::read_to_string(home.join("weights.bin")).expect("there"),
        "weights\n"
    );
    assert_eq!(
        fs::metadata(home.join("layers/large"))
            .expect("there")
            .len(),
        300_000
    );
    assert_eq!(fs::metadata(home.join("empty")).expect("there").len(), 0);
    let mut names: Vec<_> = fs::read_dir(&home)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["empty", "layers", "weights.bin"]);
    // Into a folder named like the job if none is named.
    stack.trainhook(&["jobs", "fetch", &id[id.len() - 8..]]);
    assert!(stack.folder.path().join(&id).join("weights.bin").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_there_is_replaced_unless_it_may_be() {
    let (stack, id) = trained().await;
    let home = stack.folder.path().join("home");
    fs::create_dir(&home).expect("a folder");
    fs::write(home.join("weights.bin"), "mine").expect("writable");
    let why = refused(stack.folder.path(), &["jobs", "fetch", &id, "home"]);
    assert!(
        why.contains("weights.bin is there already: --force replaces it"),
        "{why}"
    );
    assert_eq!(
        fs::read_to_string(home.join("weights.bin")).expect("there"),
        "mine"
    );
    assert_eq!(
        fs::read_dir(&home).expect("a folder").count(),
        1,
        "nothing else came"
    );
    // A link there is replaced, not followed.
    fs::remove_file(home.join("weights.bin")).expect("there");
    std::os::unix::fs::symlink("../elsewhere", home.join("weights.bin")).expect("a link");
    stack.trainhook(&["jobs", "fetch", &id, "home", "--force"]);
    assert_eq!(
        fs::read_to_string(home.join("weights.bin")).expect("there"),
        "weights\n"
    );
    assert!(!stack.folder.path().join("elsewhere").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_model_there_is_nothing_to_fetch() {
    let stack = start_model(
        "ln -s /etc $TRAINHOOK_OUT_DIR/model",
        "predictions = \"none\"",
    )
    .await;
    let (run, id) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    let why = refused(stack.folder.path(), &["jobs", "fetch", &id]);
    assert!(why.contains("out/model cannot be read"), "{why}");
    let stack = start_model("true", "predictions = \"none\"").await;
    let (run, id) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    let why = refused(stack.folder.path(), &["jobs", "fetch", &id]);
    assert!(why.contains("nothing was left in out/model/"), "{why}");
    let why = refused(
        stack.folder.path(),
        &["jobs", "fetch", &id, "--attempt", "7"],
    );
    assert!(why.contains("no such attempt"), "{why}");
}
