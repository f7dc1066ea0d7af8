//! Kubernetes: the API server of our own on which the tests run, since a real one cannot be had on every machine. Its node
//! runs pods as processes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::{
    bell::Bell,
    contenders::{Contender, SHORT_POLLS},
    kubernetes::{Cluster, IMAGE},
};

/// Whatever a job needs lies on the machine that everything here runs on.
const SHARED: &str = "shared_files = true\nmounts = [\"all:/tmp\"]\n\
                      volumes = { all = { persistentVolumeClaim = { claimName = \"all\" } } }\n";

/// As its supervisor each job has a shell that waits for ever, in vain.
const WAITER: &str = "#!/bin/sh\nread -r nothing < \"${0%/*}/never\"\n";

/// What is compared with `kubectl`.
pub(crate) fn contender(cluster: &Cluster, bell: &Bell) -> Result<Contender, String> {
    let kubeconfig = cluster.kubeconfig();
    let version = Command::new("kubectl")
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        return Err("kubernetes: kubectl is not installed".to_owned());
    }
    let manifest = kubeconfig.with_file_name("job.json");
    fs::write(&manifest, job(&bell.script()).to_string()).expect("the folder is writable");
    let mut client = Command::new("sh");
    // The shell's own number makes a fresh name.
    let create = "sed s/NAME/bell-$$/ \"$1\" | kubectl create --validate=false -f -";
    client
        .env("KUBECONFIG", &kubeconfig)
        .args(["-c", create, "sh"])
        .arg(&manifest);
    let table = format!(
        "kubeconfig = {kubeconfig:?}\nimage = \"{IMAGE}\"\nsupervisor = \"shared\"\n{SHARED}{SHORT_POLLS}"
    );
    Ok(Contender {
        kind: "kubernetes",
        rival: "`kubectl create`",
        table,
        client,
        left: None,
    })
}

/// What people write by hand.
fn job(script: &str) -> Value {
    let container = json!({"name": "training", "image": IMAGE, "command": ["sh", "-c", script]});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "NAME"},
        "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    })
}

/// The table of an executor whose jobs do nothing.
pub(crate) fn idle_table(cluster: &Cluster) -> String {
    let kubeconfig = cluster.kubeconfig();
    let waiter = kubeconfig.with_file_name("waiter");
    fs::write(&waiter, WAITER).expect("the folder is writable");
    fs::set_permissions(&waiter, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let never = kubeconfig.with_file_name("never");
    mknodat(CWD, &never, FileType::Fifo, Mode::from(0o600), 0).expect("a pipe");
    let waiter = waiter.display();
    format!(
        "kubeconfig = {kubeconfig:?}\nimage = \"{IMAGE}\"\nsupervisor = \"path:{waiter}\"\n{SHARED}"
    )
}
