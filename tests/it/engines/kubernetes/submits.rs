//! The executor by itself: made once, found again, and nobody else's touched.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use trainhook::{
    config::Secret,
    executor::{CancelOutcome, Executor, Found, Launch, SubmitError},
    job::{Handle, Observation, Phase},
};

use crate::{
    engines::{build, launch},
    support::{
        attempts::Attempt,
        kubernetes::{Cluster, Fault},
        stack::{LIMIT, trainhook_in, wait_until},
    },
};

/// An executor without a server, whose launches are lines of sh.
pub(super) struct Alone {
    pub(super) cluster: Cluster,
    pub(super) executor: Arc<dyn Executor>,
    /// The launch's name.
    pub(super) name: String,
    folder: TempDir,
}

impl Alone {
    pub(super) async fn start(more: &str) -> Self {
        let cluster = Cluster::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let table = cluster.table(&format!("shared_files = true\n{more}"));
        // Anywhere is shared on one machine.
        let shared = "volumes = { all = { persistentVolumeClaim = { claimName = \"all\" } } }\nmounts = [\"all:/tmp\"]";
        let not_its_own = ["kind = \"kubernetes\"\n", "poll_interval = \"200ms\"\n"];
        let table = not_its_own
            .iter()
            .fold(table, |table, key| table.replace(key, ""))
            + shared;
        Self {
            executor: build("kubernetes", folder.path(), &table),
            cluster,
            name: launch(folder.path()).id.to_string(),
            folder,
        }
    }

    pub(super) fn launch(&self, script: &str) -> Launch {
        let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
        Launch {
            argv,
            server_id: "our-server".to_owned(),
            ..launch(self.folder.path())
        }
    }

    pub(super) async fn submit(&self, script: &str) -> Handle {
        let submitted = self.executor.submit(&self.launch(script)).await;
        submitted.expect("it is taken")
    }

    pub(super) async fn observe(&self, handle: &Handle) -> Observation {
        let seen = self.executor.observe(std::slice::from_ref(handle)).await;
        seen.into_iter()
            .next()
            .expect("one answer")
            .expect("an answer")
    }

    pub(super) async fn wait_for(
        &self,
        handle: &Handle,
        is_it: impl Fn(&Phase) -> bool,
    ) -> Observation {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let seen = self.observe(handle).await;
            if is_it(&seen.phase) {
                return seen;
            }
            assert!(tokio::time::Instant::now() < deadline, "{seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_submits_at_once_make_one_job_that_runs_once() {
    let alone = Alone::start("").await;
    let script = format!(
        "echo ran >> {}/runs; exec sleep 600",
        alone.folder.path().display()
    );
    let launch = alone.launch(&script);
    let submits = (0..10).map(|_| alone.executor.submit(&launch));
    let handles = futures_util::future::join_all(submits).await;
    let first = handles[0].clone().expect("it is taken");
    assert!(
        handles.iter().all(|handle| handle.as_ref() == Ok(&first)),
        "{handles:?}"
    );
    alone
        .wait_for(&first, |phase| *phase == Phase::Running)
        .await;
    let runs = alone.folder.path().join("runs");
    wait_until("its run", || {
        let ran = std::fs::read_to_string(&runs).ok()?;
        (ran == "ran\n").then_some(())
    })
    .await;
    assert_eq!(alone.cluster.names("pods").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_again() {
    let alone = Alone::start("").await;
    alone.cluster.fail("POST", "/jobs", 1, Fault::LostAnswer);
    let launch = alone.launch("exec sleep 600");
    assert_eq!(alone.executor.find(&launch).await, Ok(Found::Absent));
    let lost = alone.executor.submit(&launch).await;
    assert!(matches!(lost, Err(SubmitError::Ambiguous(_))), "{lost:?}");
    let found = alone.executor.find(&launch).await.expect("an answer");
    let again = alone.executor.submit(&launch).await.expect("it is there");
    assert_eq!(found, Found::Attempts(vec![again]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bears_another_servers_label_is_never_touched() {
    let alone = Alone::start("").await;
    let handle = alone.submit("exec sleep 600").await;
    let stranger = Launch {
        server_id: "another-server".to_owned(),
        ..alone.launch("true")
    };
    let refused = alone.executor.submit(&stranger).await;
    assert!(
        matches!(refused, Err(SubmitError::Rejected(_))),
        "{refused:?}"
    );
    let mut foreign = handle.clone();
    foreign.data["server"] = json!("another-server");
    assert_eq!(alone.observe(&foreign).await.phase, Phase::Gone);
    let cancelled = alone.executor.cancel(&foreign, Duration::ZERO).await;
    assert_eq!(cancelled, Ok(CancelOutcome::AlreadyEnded));
    assert_eq!(alone.executor.cleanup(&foreign).await, Ok(()));
    alone
        .wait_for(&handle, |phase| *phase == Phase::Running)
        .await;
    assert_eq!(alone.executor.cleanup(&handle).await, Ok(()));
    assert_eq!(alone.observe(&handle).await.phase, Phase::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_are_in_a_secret_that_goes_with_its_job_and_nowhere_else() {
    let alone = Alone::start("env = { PLAIN = \"seen by all\" }").await;
    let file = alone.folder.path().join("seen");
    let mut launch = alone.launch(&format!(
        "echo \"$TOKEN, $PLAIN\" > {}; exec sleep 600",
        file.display()
    ));
    launch
        .env
        .insert("TOKEN".to_owned(), Secret::new("hunter2 of the weights"));
    let handle = alone.executor.submit(&launch).await.expect("it is taken");
    alone
        .wait_for(&handle, |phase| *phase == Phase::Running)
        .await;
    let job = alone.cluster.object("jobs", &alone.name).expect("a Job");
    let pod = alone.cluster.pod_of(&alone.name).expect("a pod");
    assert!(!format!("{job}{pod}").contains("hunter2"));
    let secret = alone
        .cluster
        .object("secrets", &alone.name)
        .expect("a Secret");
    assert_eq!(
        secret["metadata"]["ownerReferences"][0]["uid"],
        job["metadata"]["uid"]
    );
    let plan = alone.executor.plan(&launch).await.expect("a plan");
    assert!(
        plan.contains("TOKEN") && !plan.contains("hunter2"),
        "{plan}"
    );
    wait_until("its words", || {
        let seen = std::fs::read_to_string(&file).ok()?;
        (seen == "hunter2 of the weights, seen by all\n").then_some(())
    })
    .await;
    assert_eq!(alone.executor.cleanup(&handle).await, Ok(()));
    assert!(alone.cluster.names("secrets").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_list_are_read_to_the_end() {
    let alone = Alone::start("").await;
    let handle = alone.submit("exec sleep 600").await;
    alone.cluster.add_jobs_of("our-server", 1200);
    let before = alone.cluster.requests().len();
    alone
        .wait_for(&handle, |phase| *phase == Phase::Running)
        .await;
    let asked = alone.cluster.requests().split_off(before);
    let lists = asked.iter().filter(|(_, path)| path.ends_with("/jobs"));
    assert!(lists.count() >= 3, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_what_is_there_and_what_the_account_may_not() {
    let mut alone = Alone::start("").await;
    let told = alone.executor.check().await.expect("all is well");
    assert!(
        told.starts_with("Kubernetes v1.37.0-fake at http://127.0.0.1:"),
        "{told}"
    );
    assert!(told.contains("namespace train"), "{told}");
    alone.cluster.forbid(&["delete pods", "patch secrets"]);
    let error = alone.executor.check().await.expect_err("it may not");
    assert!(
        error
            .0
            .contains("may not delete pods, patch secrets in namespace train"),
        "{error}"
    );
    alone.cluster.leave().await;
    // A connection that was kept may be used once more before its end is seen.
    let lost = alone.executor.check().await.expect_err("it is away").0;
    let away = alone.executor.check().await.expect_err("it is away").0;
    assert!(
        lost.contains("cannot be reached") || lost.contains("was lost"),
        "{lost}"
    );
    assert!(away.contains("cannot be reached"), "{away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_is_found_runs_where_its_image_says() {
    let alone = Alone::start("").await;
    alone.cluster.no_node_takes("0/1 nodes are available");
    let attempt = Attempt::of(&["true"]);
    let dir = attempt.dir();
    let settings = json!({"workdir": "/app"});
    let launch = Launch {
        attempt_dir: dir.path().to_owned(),
        settings: settings.as_object().cloned().expect("an object"),
        ..alone.launch("exec sleep 600")
    };
    alone.executor.submit(&launch).await.expect("it is taken");
    // The server that comes back writes the request anew, and looks before it submits.
    let dir = attempt.dir();
    let found = alone.executor.find(&launch).await.expect("an answer");
    assert!(matches!(found, Found::Attempts(_)), "{found:?}");
    let request = dir.read_request().expect("a request");
    assert_eq!(request.workdir, std::path::Path::new("/app"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_has_the_api_judge_each_models_job() {
    let site = super::Site::start("true", "", "").await;
    let doctor = || {
        let output = trainhook_in(site.stack.folder.path(), &["doctor"]);
        String::from_utf8(output.stdout).expect("text")
    };
    let told = doctor();
    let fine = "ok     model job on executor local: the API would take its Job";
    assert!(told.contains(fine), "{told}");
    assert_eq!(site.cluster.names("jobs"), [""; 0], "nothing is made");
    let why = "admission webhook \"policy\" denied the request: no such team".to_owned();
    site.cluster
        .fail("POST", "/jobs", 1, Fault::Refused(400, "BadRequest", why));
    let told = doctor();
    let wrong = "WRONG  model job on executor local: Kubernetes says: admission webhook";
    assert!(told.contains(wrong), "{told}");
}
