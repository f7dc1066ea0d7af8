//! Kubernetes: the API server of our own on which the tests run, since a real one cannot be had on every machine. Its node
//! runs pods as processes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

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
    let mut client = Command::new("sh");
    // The shell's own number makes a fresh name.
    let create = "exec kubectl create job bell-$$ --image=$1 -- sh -c \"$2\"";
    client
        .env("KUBECONFIG", &kubeconfig)
        .args(["-c", create, "sh", IMAGE, &bell.script()]);
    let table = format!(
        "kubeconfig = {kubeconfig:?}\nimage = \"{IMAGE}\"\nsupervisor = \"shared\"\n{SHARED}{SHORT_POLLS}"
    );
    Ok(Contender {
        kind: "kubernetes",
        rival: "`kubectl create job`",
        table,
        client,
        left: None,
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
