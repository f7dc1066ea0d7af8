//! What the API server keeps, and what is to go wrong.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::node::Wish;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// It is refused: status, reason, message.
    Refused(u16, &'static str, String),
    /// It is done, and the connection is cut before the answer.
    LostAnswer,
    /// There is no answer for long.
    Hang,
}

/// All objects, by resource, namespace and name.
type Key = (String, String, String);

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    version: u64,
    faults: Vec<(String, String, usize, Fault)>,
    requests: Vec<(String, String)>,
}

/// The cluster behind its API.
pub(crate) struct World {
    state: Mutex<State>,
    pub(super) folder: PathBuf,
    /// Of the namespaces that are as old as the cluster.
    pub(super) uid: String,
    /// What its node wants of each pod that runs.
    pub(super) wishes: Mutex<HashMap<String, watch::Sender<Wish>>>,
    /// Why no node takes a pod; none if one does.
    pub(super) unschedulable: Mutex<Option<String>>,
    /// Why no image comes.
    pub(super) no_image: Mutex<Option<String>>,
    /// Why the controller can make no pod.
    pub(super) no_pod: Mutex<Option<String>>,
    /// What the account may not do: `create jobs`.
    forbidden: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            state: Mutex::default(),
            folder: folder.to_owned(),
            uid: uuid::Uuid::new_v4().to_string(),
            wishes: Mutex::default(),
            unschedulable: Mutex::default(),
            no_image: Mutex::default(),
            no_pod: Mutex::default(),
            forbidden: Mutex::default(),
        }
    }

    pub(super) fn fail(&self, method: &str, path: &str, times: usize, fault: Fault) {
        let wanted = (method.to_owned(), path.to_owned(), times, fault);
        locked(&self.state).faults.push(wanted);
    }

    /// The fault of this request, if it is to have one.
    pub(super) fn fault(&self, method: &str, path: &str) -> Option<Fault> {
        let mut state = locked(&self.state);
        state.requests.push((method.to_owned(), path.to_owned()));
        let mut faults = state.faults.iter_mut();
        let due = faults
            .find(|(m, p, times, _)| m == method && path.contains(p.as_str()) && *times > 0)?;
        due.2 -= 1;
        Some(due.3.clone())
    }

    pub(super) fn requests(&self) -> Vec<(String, String)> {
        locked(&self.state).requests.clone()
    }

    pub(crate) fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        locked(&self.state).objects.get(&key).cloned()
    }

    pub(crate) fn list(&self, resource: &str, namespace: &str) -> Vec<Value> {
        let state = locked(&self.state);
        let own = state.objects.iter();
        let own = own.filter(|((r, n, _), _)| r == resource && n == namespace);
        own.map(|(_, object)| object.clone()).collect()
    }

    /// Keeps a new object; none if its name is taken.
    pub(super) fn create(
        &self,
        resource: &str,
        namespace: &str,
        mut object: Value,
    ) -> Option<Value> {
        let mut state = locked(&self.state);
        let name = object["metadata"]["name"].as_str()?.to_owned();
        let key = (resource.to_owned(), namespace.to_owned(), name);
        if state.objects.contains_key(&key) {
            return None;
        }
        state.version += 1;
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(namespace);
        metadata["uid"] = json!(uuid::Uuid::new_v4().to_string());
        metadata["resourceVersion"] = json!(state.version.to_string());
        metadata["creationTimestamp"] = json!(now());
        fold_strings(&mut object);
        state.objects.insert(key, object.clone());
        Some(object)
    }

    /// Changes an object, if it is there.
    pub(super) fn change(
        &self,
        resource: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Option<Value> {
        let mut state = locked(&self.state);
        state.version += 1;
        let version = state.version.to_string();
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let object = state.objects.get_mut(&key)?;
        change(object);
        object["metadata"]["resourceVersion"] = json!(version);
        fold_strings(object);
        Some(object.clone())
    }

    /// Removes an object, and the Secrets that it owns.
    pub(super) fn remove(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let mut state = locked(&self.state);
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        let removed = state.objects.remove(&key)?;
        let uid = removed["metadata"]["uid"].clone();
        state.objects.retain(|(resource, _, _), object| {
            resource != "secrets" || object["metadata"]["ownerReferences"][0]["uid"] != uid
        });
        Some(removed)
    }

    /// Has something to say about an object.
    pub(super) fn warn(&self, about: &Value, reason: &str, message: &str) {
        let name = format!("event.{}", uuid::Uuid::new_v4().simple());
        let metadata = &about["metadata"];
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "type": "Warning",
            "reason": reason, "message": message, "lastTimestamp": now(), "count": 1,
            "involvedObject": {"kind": about["kind"], "name": metadata["name"], "uid": metadata["uid"]},
        });
        self.create("events", "train", event);
    }

    pub(super) fn version(&self) -> String {
        locked(&self.state).version.to_string()
    }
}

/// The time, as the API writes it.
pub(super) fn now() -> String {
    let now = Timestamp::now();
    format!("{now:.0}")
}

/// `stringData` becomes `data`.
fn fold_strings(object: &mut Value) {
    let Some(Value::Object(strings)) = object
        .as_object_mut()
        .and_then(|map| map.remove("stringData"))
    else {
        return;
    };
    for (name, value) in strings {
        let text = value.as_str().unwrap_or_default();
        object["data"][name] = json!(STANDARD.encode(text));
    }
}

/// RFC 7386.
pub(super) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(target.as_object_mut().map(|map| map.remove(key))),
            value => merge_patch(&mut target[key], value),
        }
    }
}

pub(super) fn variables(secret: &Value) -> Vec<(String, String)> {
    let data = secret["data"].as_object().into_iter().flatten();
    let decoded = data.map(|(name, value)| {
        let bytes = STANDARD
            .decode(value.as_str().unwrap_or_default())
            .expect("base64");
        (name.clone(), String::from_utf8(bytes).expect("text"))
    });
    decoded.collect()
}

impl World {
    pub(super) fn said(mutex: &Mutex<Option<String>>) -> Option<String> {
        locked(mutex).clone()
    }

    pub(super) fn forbid(&self, what: &[&str]) {
        *locked(&self.forbidden) = what.iter().map(ToString::to_string).collect();
    }

    pub(super) fn is_forbidden(&self, what: &str) -> bool {
        locked(&self.forbidden).iter().any(|one| one == what)
    }

    /// Has something keep all pods from beginning, or not any more.
    pub(super) fn set(mutex: &Mutex<Option<String>>, why: Option<&str>) {
        *locked(mutex) = why.map(str::to_owned);
    }
}
