//! Credentials that a program tells, as a kubeconfig names it.

use std::{fs, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use trainhook::executor::Executor;

use crate::{
    engines::build,
    support::{
        kubernetes::Cluster, processes::living_in, script::write_program, stack::wait_until,
    },
};

/// A plugin that is this script of sh, and an executor that finds its cluster by it.
struct Told {
    _cluster: Cluster,
    executor: Arc<dyn Executor>,
    folder: TempDir,
}

impl Told {
    async fn by(script: &str, more: Value) -> Self {
        let cluster = Cluster::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let lines = format!("cd {:?}\n{script}\n", folder.path());
        let plugin = write_program(folder.path(), "plugin", &lines);
        let text = fs::read_to_string(cluster.kubeconfig()).expect("a kubeconfig");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        let mut exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "args": ["--key", "a-secret-argument"],
            "env": [{"name": "KEY", "value": "a-secret-variable"}],
        });
        for (key, value) in more.as_object().expect("an object") {
            exec[key] = value.clone();
        }
        config["users"][0]["user"] = json!({"exec": exec});
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, config.to_string()).expect("writable");
        let executor = executor(&kubeconfig);
        Self {
            _cluster: cluster,
            executor,
            folder,
        }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

fn executor(kubeconfig: &Path) -> Arc<dyn Executor> {
    let table = format!("image = \"x\"\nsupervisor = \"image:x\"\nkubeconfig = {kubeconfig:?}");
    build("kubernetes", Path::new("/"), &table)
}

const CREDENTIAL: &str = r#"echo x >> calls; echo "$KUBERNETES_EXEC_INFO" > info; echo "$1 $2 $KEY" > given; [ -t 0 ] && exit 9
    echo '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "told", EXPIRY}}'"#;

fn credential(expiry: &str) -> String {
    CREDENTIAL.replace("EXPIRY", &format!("\"expirationTimestamp\": \"{expiry}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_asked_once_for_as_long_as_its_answer_holds() {
    let told = Told::by(
        &credential("2999-01-01T00:00:00Z"),
        json!({"provideClusterInfo": true}),
    )
    .await;
    for _ in 0..2 {
        told.executor.check().await.expect("it is let in");
    }
    assert_eq!(told.file("calls"), "x\n");
    assert_eq!(
        told.file("given"),
        "--key a-secret-argument a-secret-variable\n"
    );
    let info: Value = serde_json::from_str(&told.file("info")).expect("JSON");
    assert_eq!(info["spec"]["interactive"], false);
    let server = info["spec"]["cluster"]["server"]
        .as_str()
        .expect("an address");
    assert!(server.starts_with("http://127.0.0.1:"), "{info}");
    let told = Told::by(&credential("2000-01-01T00:00:00Z"), json!({})).await;
    for _ in 0..2 {
        told.executor.check().await.expect("it is let in");
    }
    assert!(
        told.file("calls").len() >= 4,
        "what has expired is asked for again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_is_given_and_says_is_in_no_error() {
    let scripts = [
        (
            "echo a-secret-answer; echo a-secret-complaint >&2; exit 3",
            "exit code 3",
        ),
        ("echo a-secret-answer", "ExecCredential"),
        (
            r#"echo '{"status": {"a-secret-answer": 1}}'"#,
            "neither a token nor a certificate",
        ),
    ];
    for (script, words) in scripts {
        let told = Told::by(script, json!({})).await;
        let error = told.executor.check().await.expect_err("no credentials");
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains("credential plugin"),
            "{text}"
        );
        assert!(!text.contains("a-secret"), "{text}");
    }
    let told = Told::by("true", json!({"interactiveMode": "Always"})).await;
    let error = told
        .executor
        .check()
        .await
        .expect_err("there is no terminal");
    assert!(error.to_string().contains("wants a terminal"), "{error}");
}

/// On one thread, which a call that blocks would keep.
#[tokio::test]
async fn a_plugin_that_hangs_holds_up_nobody_else_and_is_ended() {
    let told = Told::by("echo x >> calls; exec sleep 600", json!({})).await;
    let hanging = Arc::clone(&told.executor);
    let hanging = tokio::spawn(async move { hanging.check().await });
    let folder = told.folder.path();
    let is_called = || (told.file("calls") == "x\n").then_some(());
    wait_until("the plugin", is_called).await;
    let other = Cluster::start().await;
    let nearby = executor(&other.kubeconfig());
    let checked = tokio::time::timeout(Duration::from_secs(10), nearby.check()).await;
    checked.expect("nothing is held up").expect("it is let in");
    hanging.abort();
    let is_gone = || living_in(folder).is_empty().then_some(());
    wait_until("the plugin's end", is_gone).await;
}
