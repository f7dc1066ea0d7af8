//! A cluster that asks for a token (`RAY_AUTH_MODE=token`).

use std::fs;

use crate::support::{
    ray::{Ray, in_place},
    stack::{job_id, model, trainhook_in},
};

const TOKEN: &str = "a-token-of-these-tests-0123456789";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_asks_for_a_token_takes_whoever_has_it() {
    let Some(ray) = Ray::shared("a Ray that asks for a token").await else {
        return;
    };
    let env = [("RAY_AUTH_MODE", "token"), ("RAY_AUTH_TOKEN", TOKEN)];
    ray.script(&["start"], &env);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    fs::write(&file, "another").expect("the folder is writable");
    let more = format!("{}token = {{ file = {file:?} }}\n", in_place());
    let script = "echo ran >> runs; echo $RAY_AUTH_MODE >> runs";
    let models = model("job", script, "resources = { cpus = 1 }");
    let stack = ray.stack_at(&ray.address, &more, &models).await;
    let doctor = || {
        let output = trainhook_in(stack.folder.path(), &["doctor"]);
        String::from_utf8(output.stdout).expect("text")
    };
    let told = doctor();
    let refused = "WRONG  executor local: Ray says: 403 Forbidden: set token";
    assert!(told.contains(refused), "{told}");
    // One that is not taken fails no job: the right one may come.
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let waits = || {
        let job = &stack.job(&id)["job"];
        job["waiting"].as_str()?.contains("set token").then_some(())
    };
    crate::support::stack::wait_until("the refusal", waits).await;
    fs::write(&file, format!("{TOKEN}\n")).expect("the folder is writable");
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["ran", "token"]);
    let told = doctor();
    assert!(told.contains("ok     executor local: Ray 2."), "{told}");
    assert!(!told.contains(TOKEN), "{told}");
    ray.script(&["start"], &[]);
}
