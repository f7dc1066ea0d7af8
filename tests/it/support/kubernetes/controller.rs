//! The controller of Jobs, the garbage collector, and what befalls pods.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    node::{Wish, condition, run_pod},
    pause,
    world::{World, merge_patch, now},
};

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
        job["status"] = json!({"conditions": [ended]});
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
            job["metadata"]["deletionTimestamp"] = json!(now());
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
        job["spec"]["suspend"] = json!(is_suspended);
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
