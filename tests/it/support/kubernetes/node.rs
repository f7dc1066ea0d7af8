//! The controller of Jobs, the garbage collector, and the only node, on which pods are processes.

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

/// What happens to a pod that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// The node needs its room.
    Evicted,
    /// It used more memory than it may.
    OutOfMemory,
    /// Somebody killed its supervisor, for whatever reason.
    Killed,
    /// The node's power is cut; the cluster notices.
    NodeLost,
    /// Somebody deletes the pod.
    Deleted,
}

/// What the API server fills in.
pub(super) fn complete(job: &mut Value) {
    let status = json!({});
    if job.get("status").is_none() {
        job["status"] = status;
    }
}

/// The controller makes a Job's pod, and the node runs it.
pub(super) fn begin(world: &Arc<World>, job: &str) {
    let (world, job) = (Arc::clone(world), job.to_owned());
    tokio::spawn(async move {
        let mut complained = false;
        while let Some(why) = World::said(&world.no_pod) {
            if !std::mem::replace(&mut complained, true)
                && let Some(job) = world.get("jobs", "train", &job)
            {
                world.warn(&job, "FailedCreate", &why);
            }
            pause().await;
        }
        let Some(found) = world.get("jobs", "train", &job) else {
            return;
        };
        let Some(pod) = make_pod(&world, &found) else {
            return;
        };
        let name = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        let (sender, wish) = watch::channel(Wish::Run);
        world
            .wishes
            .lock()
            .expect("unpoisoned")
            .insert(name.clone(), sender);
        let ended = run_pod(&world, &pod, wish).await;
        world.wishes.lock().expect("unpoisoned").remove(&name);
        if ended {
            conclude(&world, &job, &name);
        }
    });
}

fn make_pod(world: &World, job: &Value) -> Option<Value> {
    let (metadata, template) = (&job["metadata"], &job["spec"]["template"]);
    let name = metadata["name"].as_str()?;
    let mut labels = template["metadata"]["labels"].clone();
    labels["batch.kubernetes.io/job-name"] = json!(name);
    labels["batch.kubernetes.io/controller-uid"] = metadata["uid"].clone();
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": metadata["uid"],
        "controller": true, "blockOwnerDeletion": true});
    let suffix = &uuid::Uuid::new_v4().simple().to_string()[..5];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "status": {"phase": "Pending"},
        "metadata": {"name": format!("{name}-{suffix}"), "labels": labels, "ownerReferences": [owner]},
    });
    let active = json!({"active": 1, "startTime": now()});
    world.change("jobs", "train", name, |job| job["status"] = active);
    world.create("pods", "train", pod)
}

/// Runs a pod to its end; false if nobody saw it.
async fn run_pod(world: &Arc<World>, pod: &Value, mut wish: watch::Receiver<Wish>) -> bool {
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

fn condition(name: &str, status: &str, reason: &str, message: &str) -> Value {
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

/// The controller looks at a pod that has ended.
fn conclude(world: &World, job: &str, pod: &str) {
    let found = world.get("pods", "train", pod).unwrap_or_default();
    let is_deleted = found["metadata"].get("deletionTimestamp").is_some();
    if is_deleted {
        world.remove("pods", "train", pod);
    }
    let Some(own) = world.get("jobs", "train", job) else {
        return;
    };
    if own["metadata"].get("deletionTimestamp").is_some() {
        world.remove("jobs", "train", job);
        return;
    }
    if own["spec"]["suspend"] == true {
        return;
    }
    let ended = match found["status"]["phase"] == "Succeeded" && !is_deleted {
        true => condition(
            "Complete",
            "True",
            "CompletionsReached",
            "Reached expected number of succeeded pods",
        ),
        false => condition(
            "Failed",
            "True",
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        ),
    };
    world.change("jobs", "train", job, |job| {
        job["status"] = json!({"conditions": [ended]})
    });
}

/// Deletes a pod; the grace is its own if none is said.
pub(super) fn delete_pod(world: &Arc<World>, name: &str, grace: Option<Duration>) {
    let Some(pod) = world.get("pods", "train", name) else {
        return;
    };
    let own = pod["spec"]["terminationGracePeriodSeconds"]
        .as_u64()
        .unwrap_or(30);
    let grace = grace.unwrap_or(Duration::from_secs(own));
    let wishes = world.wishes.lock().expect("unpoisoned");
    let Some(wish) = wishes.get(name) else {
        drop(wishes);
        world.remove("pods", "train", name);
        return;
    };
    let at = jiff::Timestamp::now() + grace;
    world.change("pods", "train", name, |pod| {
        pod["metadata"]["deletionTimestamp"] = json!(format!("{at:.0}"));
    });
    wish.send_replace(Wish::End(grace));
}

/// Deletes a Job: at once, or when its pods are gone.
pub(super) fn delete_job(world: &Arc<World>, name: &str, in_foreground: bool) {
    let pods = world.list("pods", "train").into_iter();
    let own = pods.filter(|pod| pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == name);
    let own: Vec<String> = own
        .filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned()))
        .collect();
    let running = |pod: &String| world.wishes.lock().expect("unpoisoned").contains_key(pod);
    if in_foreground && own.iter().any(running) {
        world.change("jobs", "train", name, |job| {
            job["metadata"]["deletionTimestamp"] = json!(now())
        });
    } else {
        world.remove("jobs", "train", name);
    }
    for pod in own {
        delete_pod(world, &pod, None);
    }
}

/// Something happens to a pod.
pub(super) fn strike(world: &Arc<World>, pod: &str, fate: Fate) {
    let send = |wish: Wish| {
        let wishes = world.wishes.lock().expect("unpoisoned");
        wishes.get(pod).expect("a pod that runs").send_replace(wish);
    };
    let say =
        |patch: Value| drop(world.change("pods", "train", pod, |pod| merge_patch(pod, &patch)));
    match fate {
        Fate::Evicted => {
            let message = "The node was low on resource: memory.";
            let why = condition("DisruptionTarget", "True", "TerminationByKubelet", message);
            say(json!({"status": {"reason": "Evicted", "message": message, "conditions": [why]}}));
            send(Wish::End(Duration::from_secs(10)));
        }
        Fate::OutOfMemory => send(Wish::Kill(json!({"reason": "OOMKilled"}))),
        Fate::Killed => send(Wish::Kill(json!({}))),
        Fate::NodeLost => {
            let at = jiff::Timestamp::now() - Duration::from_secs(600);
            let message = "Taint manager: deleting due to NoExecute taint";
            let why = condition(
                "DisruptionTarget",
                "True",
                "DeletionByTaintManager",
                message,
            );
            say(
                json!({"metadata": {"deletionTimestamp": format!("{at:.0}")}, "status": {"conditions": [why]}}),
            );
            send(Wish::Lose);
        }
        Fate::Deleted => delete_pod(world, pod, None),
    }
}

/// Suspends a Job, whose pod is deleted then, or has it begin.
pub(super) fn suspend(world: &Arc<World>, job: &str, is_suspended: bool) {
    world.change("jobs", "train", job, |job| {
        job["spec"]["suspend"] = json!(is_suspended)
    });
    if !is_suspended {
        begin(world, job);
        return;
    }
    for pod in world.list("pods", "train") {
        if pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job {
            let name = pod["metadata"]["name"].as_str().expect("a name");
            delete_pod(world, name, None);
        }
    }
}
