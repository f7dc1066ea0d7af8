//! The only node, on which pods are processes.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    process::{Child, Command},
    sync::watch,
};
use trainhook::process::{ProcessId, Signal};

use super::{
    NODE, SUPERVISOR, pause, real_path, tail,
    world::{World, merge_patch, now, variables},
};

/// What the node wants of a pod.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    Run,
    /// SIGTERM, and SIGKILL after the grace.
    End(Duration),
    /// SIGKILL; what its container says then.
    Kill(Value),
    /// Nobody sees the node any more.
    Lose,
}

/// Runs a pod to its end; false if nobody saw it.
pub(super) async fn run_pod(
    world: &Arc<World>,
    pod: &Value,
    mut wish: watch::Receiver<Wish>,
) -> bool {
    let name = pod["metadata"]["name"].as_str().expect("a name");
    let say =
        |patch: Value| drop(world.change("pods", "train", name, |pod| merge_patch(pod, &patch)));
    let waits_for = async {
        while let Some(why) = World::said(&world.unschedulable) {
            say(
                json!({"status": {"conditions": [condition("PodScheduled", "False", "Unschedulable", &why)]}}),
            );
            pause().await;
        }
        say(
            json!({"spec": {"nodeName": NODE}, "status": {"conditions": [condition("PodScheduled", "True", "", "")]}}),
        );
        while let Some(why) = World::said(&world.no_image) {
            say(
                json!({"status": {"containerStatuses": [container_waits(pod, "ImagePullBackOff", &why)]}}),
            );
            pause().await;
        }
        loop {
            match prepare(world, pod) {
                Ok(prepared) => return prepared,
                Err(why) => {
                    say(
                        json!({"status": {"containerStatuses": [container_waits(pod, "CreateContainerConfigError", &why)]}}),
                    );
                    pause().await;
                }
            }
        }
    };
    let prepared = tokio::select! {
        prepared = waits_for => prepared,
        _ = wish.changed() => {
            say(json!({"status": {"phase": "Failed"}}));
            return true;
        }
    };
    say(json!({"status": {"containerStatuses": [container_waits(pod, "PodInitializing", "")]}}));
    if let Some(mut bringer) = prepared.start(pod["spec"]["initContainers"].get(0), true) {
        let status = bringer.wait().await.expect("it ends");
        if !status.success() {
            let ended = prepared.terminated("trainhook", status, "Error");
            say(json!({"status": {"phase": "Failed", "initContainerStatuses": [ended]}}));
            return true;
        }
    }
    let Some(child) = prepared.start(pod["spec"]["containers"].get(0), false) else {
        let state = json!({"terminated": {"exitCode": 128, "reason": "StartError", "message": "exec: no such file or directory"}});
        say(json!({"status": {"phase": "Failed", "containerStatuses": [container(pod, state)]}}));
        return true;
    };
    let state = json!({"running": {"startedAt": now()}});
    say(json!({"status": {"phase": "Running", "containerStatuses": [container(pod, state)]}}));
    let Some((status, because)) = follow(child, wish).await else {
        return false;
    };
    let reason = if status.success() {
        "Completed"
    } else {
        "Error"
    };
    let mut ended = prepared.terminated("training", status, reason);
    merge_patch(&mut ended["state"]["terminated"], &because);
    let phase = if status.success() {
        "Succeeded"
    } else {
        "Failed"
    };
    say(json!({"status": {"phase": phase, "containerStatuses": [ended]}}));
    true
}

/// Waits for the end, and does what is wished meanwhile; none if the node is lost.
async fn follow(mut child: Child, mut wish: watch::Receiver<Wish>) -> Option<(ExitStatus, Value)> {
    let process = ProcessId::of(child.id()?);
    let signal = |signal| drop(process.map(|process| trainhook::process::kill(process, signal)));
    let (mut because, mut deadline) = (json!({}), None::<tokio::time::Instant>);
    loop {
        let patience = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => return Some((status.expect("it ends"), because)),
            () = patience => {
                signal(Signal::KILL);
                deadline = None;
            }
            changed = wish.changed() => {
                if changed.is_err() {
                    let status = child.wait().await.expect("it ends");
                    return Some((status, because));
                }
                let wished = wish.borrow_and_update().clone();
                match wished {
                    Wish::Run => {}
                    Wish::End(grace) => {
                        signal(Signal::TERM);
                        let by = tokio::time::Instant::now() + grace;
                        deadline = Some(deadline.map_or(by, |earlier| earlier.min(by)));
                    }
                    Wish::Kill(why) => {
                        because = why;
                        signal(Signal::KILL);
                    }
                    Wish::Lose => {
                        signal(Signal::KILL);
                        let _status = child.wait().await;
                        return None;
                    }
                }
            }
        }
    }
}

/// A pod's volumes and variables, on this machine.
struct Prepared {
    folder: PathBuf,
    mounts: Vec<(String, PathBuf)>,
    env: Vec<(String, String)>,
}

fn prepare(world: &World, pod: &Value) -> Result<Prepared, String> {
    let uid = pod["metadata"]["uid"].as_str().expect("an id");
    let folder = world.folder.join("pods").join(uid);
    let container = &pod["spec"]["containers"][0];
    let mut env = Vec::new();
    for from in list(&container["envFrom"]) {
        let name = from["secretRef"]["name"].as_str().unwrap_or_default();
        let secret = world.get("secrets", "train", name);
        env.extend(variables(
            &secret.ok_or_else(|| format!("secret \"{name}\" not found"))?,
        ));
    }
    for one in list(&container["env"]) {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        env.push((text("name"), text("value")));
    }
    let mut mounts = Vec::new();
    for mount in list(&container["volumeMounts"]) {
        let text = |key: &str| mount[key].as_str().unwrap_or_default();
        let (name, path) = (text("name"), text("mountPath"));
        let volumes = list(&pod["spec"]["volumes"]);
        let volume = volumes.iter().find(|volume| volume["name"] == name);
        let volume = volume.ok_or_else(|| format!("volume {name} not found"))?;
        if volume.get("emptyDir").is_some() {
            let real = folder.join("volumes").join(name);
            fs::create_dir_all(&real).map_err(|error| error.to_string())?;
            mounts.push((path.to_owned(), real));
        }
    }
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    Ok(Prepared {
        folder,
        mounts,
        env,
    })
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

impl Prepared {
    /// Starts a container as a process, if there is one and it can be.
    fn start(&self, container: Option<&Value>, is_init: bool) -> Option<Child> {
        let container = container?;
        let words = |key: &str| {
            let words = list(&container[key]);
            let words = words
                .iter()
                .map(|word| real_path(&self.mounts, word.as_str().unwrap_or_default()));
            words.collect::<Vec<String>>()
        };
        let mut argv = words("command");
        if argv.is_empty() && container["image"] == SUPERVISOR {
            argv.push(env!("CARGO_BIN_EXE_trainhook").to_owned());
        }
        argv.extend(words("args"));
        let name = container["name"].as_str()?;
        let log = File::create(self.folder.join(format!("{name}.log"))).ok()?;
        let mut command = Command::new(argv.first()?);
        command.args(&argv[1..]).env_clear().current_dir("/");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOSTNAME", NODE);
        if !is_init {
            command.envs(self.env.clone());
        }
        let errors = log.try_clone().ok()?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        command.spawn().ok()
    }

    fn terminated(&self, name: &str, status: ExitStatus, reason: &str) -> Value {
        let code = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let message = match status.success() {
            true => String::new(),
            false => tail(&self.folder.join(format!("{name}.log")), 2048),
        };
        let state = json!({"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": now()}});
        status_of(name, "", state)
    }
}

pub(super) fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": now()})
}

fn status_of(name: &str, image: &str, state: Value) -> Value {
    json!({"name": name, "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn container(pod: &Value, state: Value) -> Value {
    let image = pod["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap_or_default();
    status_of("training", image, state)
}

fn container_waits(pod: &Value, reason: &str, message: &str) -> Value {
    container(
        pod,
        json!({"waiting": {"reason": reason, "message": message}}),
    )
}
