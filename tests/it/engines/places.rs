//! An executor that was made to point elsewhere says nothing of what it cannot see.

use std::{path::Path, time::Duration};

use serde_json::json;
use trainhook::{
    executor::{Executor, QueryError},
    job::{Handle, Place},
};

use crate::{
    engines::{build, launch},
    support::scripted::{Reply, Scripted},
};

/// Whatever is asked about the handle is refused, in words that name both places.
pub(super) async fn refuses(executor: &dyn Executor, handle: &Handle, places: [&str; 2]) {
    let says_so = |error: QueryError| {
        let text = error.to_string();
        assert!(text.contains("cancel the job"), "{text}");
        assert!(places.iter().all(|place| text.contains(place)), "{text}");
    };
    let seen = executor.observe(std::slice::from_ref(handle)).await;
    says_so(
        seen.into_iter()
            .next()
            .expect("one answer")
            .expect_err("it cannot see it"),
    );
    says_so(
        executor
            .cancel(handle, Duration::ZERO)
            .await
            .expect_err("it is not there"),
    );
    says_so(executor.cleanup(handle).await.expect_err("it is not there"));
    assert_eq!(executor.engine_log(handle).await, None);
}

#[tokio::test]
async fn a_job_of_another_ray_is_neither_gone_nor_ended() {
    let taken = Reply::new(200, json!({"job_id": "x", "submission_id": "x"}));
    let first = Scripted::start([taken]).await;
    // It would be asked for what it has never had.
    let second = Scripted::start([]).await;
    let at = |ray: &Scripted| {
        let table = format!("address = \"{}\"\nsupervisor = \"shared\"", ray.url("/"));
        build("ray", Path::new("/"), &table)
    };
    let handle = at(&first).submit(&launch(Path::new("/jobs/a1"))).await;
    let handle = handle.expect("taken");
    assert_eq!(handle.place, Some(Box::new(Place::at(first.url("")))));
    refuses(&*at(&second), &handle, [&first.url(""), &second.url("")]).await;
    first.finish();
    second.finish();
}

#[tokio::test]
async fn a_container_of_another_engine_is_neither_gone_nor_ended() {
    let executor = |table: &str| build("container", Path::new("/"), table);
    let socket = executor("socket = \"/run/docker.sock\"");
    let data =
        json!({"launch": "x", "container": "x", "server": "ours", "attempt_dir": "/jobs/a1"});
    let handle = Handle::pack(launch(Path::new("/jobs/a1")).id, 1, &data).expect("JSON");
    let handle = handle.at(Place::at("unix:///run/docker.sock"));
    // Nobody listens there, and nobody need.
    let host = executor("host = \"tcp://127.0.0.1:1\"");
    refuses(
        &*host,
        &handle,
        ["unix:///run/docker.sock", "tcp://127.0.0.1:1"],
    )
    .await;
    // The same one, as other clients name it.
    let named = executor("socket = \"/var/run/docker.sock\"");
    assert_eq!(named.place().await, socket.place().await);
}

#[tokio::test]
async fn a_handle_from_before_places_were_kept_is_still_read() {
    let handle = json!({"launch_id": launch(Path::new("/")).id, "version": 1, "data": {"server": "ours", "attempt_dir": "/"}});
    let handle: Handle = serde_json::from_value(handle).expect("a handle");
    assert_eq!(handle.place, None);
    let id = handle.launch_id;
    let absent = Reply::new(404, format!("Job {id} does not exist"));
    let ray = Scripted::start([absent]).await;
    let table = format!("address = \"{}\"\nsupervisor = \"shared\"", ray.url(""));
    let executor = build("ray", Path::new("/"), &table);
    let seen = executor.observe(&[handle]).await;
    assert!(matches!(seen.as_slice(), [Ok(_)]), "{seen:?}");
    ray.finish();
}
