//! kill -9 on the server, and on Ray itself.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::support::{
    ray::{Ray, in_place, wait_for_state},
    stack::{Stack, UNTIL_GO, job_id, model, statuses, wait_until},
};

/// What becomes of what travels through a [`Door`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Questions pass, answers wait.
    AnswersWait,
    /// Every question is answered as by a head that knows nothing.
    Forgetful,
}

/// Stands between a server and Ray.
struct Door {
    address: String,
    way: Arc<watch::Sender<Way>>,
}

impl Door {
    async fn before(ray: &Ray) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let behind = ray.address.trim_start_matches("http://").to_owned();
        let way = Arc::new(watch::Sender::new(Way::Open));
        let seen = Arc::clone(&way);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, behind.clone(), seen.subscribe()));
            }
        });
        Self {
            address: format!("http://{address}"),
            way,
        }
    }

    fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// A connection that breaks finds its own words at both ends.
async fn pass(mut near: TcpStream, behind: String, mut way: watch::Receiver<Way>) {
    let Ok(mut far) = TcpStream::connect(behind).await else {
        return;
    };
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                let is_forgetful = *way.borrow() == Way::Forgetful;
                if is_forgetful {
                    let said = "Job x does not exist";
                    let head = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{said}", said.len());
                    if near.write_all(head.as_bytes()).await.is_err() { return }
                } else if far.write_all(&asked[..count]).await.is_err() {
                    return;
                }
            }
            read = far.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                let is_open = way.wait_for(|way| *way != Way::AnswersWait).await.is_ok();
                if !is_open || near.write_all(&answered[..count]).await.is_err() { return }
            }
        }
    }
}

async fn started(stack: &Stack) -> (String, String) {
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    (run, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_again_and_again_starts_the_job_once() {
    let Some(ray) = Ray::shared("kills of the server around a job on Ray").await else {
        return;
    };
    let mut stack = ray.stack("", &model("job", UNTIL_GO, "")).await;
    let (run, _) = started(&stack).await;
    // Before it is submitted, while Ray has it and has not begun, while it claims, and when it runs.
    for delay in [0, 5, 20, 60, 120, 240, 400, 800, 1200] {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        stack.server.kill();
        stack.restart().await;
    }
    stack.wait_for_lines("runs", 1).await;
    assert_eq!(ray.jobs().await.len(), 1);
    stack.go();
    let told = stack.told(&run, "COMPLETE").await;
    assert_eq!(statuses(&told).last(), Some(&"COMPLETE"));
    assert_eq!(stack.lines("runs"), ["1"], "one run of the command");
    ray.wait_for_jobs(0).await;
}

/// The server dies when Ray has taken the job and has not answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_it_submits_finds_the_job_again() {
    let Some(ray) = Ray::shared("a server that dies while it submits to Ray").await else {
        return;
    };
    let door = Door::before(&ray).await;
    let models = model("job", UNTIL_GO, "");
    let mut stack = ray.stack_at(&door.address, &in_place(), &models).await;
    door.set(Way::AnswersWait);
    let (run, id) = started(&stack).await;
    ray.wait_for_jobs(1).await;
    assert_eq!(stack.job(&id)["job"]["state"], "submitting");
    stack.server.kill();
    door.set(Way::Open);
    stack.restart().await;
    wait_for_state(&stack, &id, "running").await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_a_job_waits_or_runs_follows_it() {
    let Some(ray) = Ray::shared("a server that dies beside a job on Ray").await else {
        return;
    };
    ray.take_gpus("others-who-outlast-a-server").await;
    let models = model("job", UNTIL_GO, "resources = { gpus = 1 }");
    let mut stack = ray.stack("", &models).await;
    let (run, id) = started(&stack).await;
    wait_for_state(&stack, &id, "pending").await;
    stack.server.kill();
    stack.restart().await;
    assert_eq!(stack.job(&id)["job"]["state"], "pending");
    ray.stop("others-who-outlast-a-server").await;
    stack.wait_for_lines("runs", 1).await;
    wait_for_state(&stack, &id, "running").await;
    stack.server.kill();
    stack.go();
    stack.restart().await;
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ray_has_forgotten_goes_on_as_long_as_its_heart_beats() {
    let Some(ray) = Ray::shared("a job that Ray has forgotten").await else {
        return;
    };
    let door = Door::before(&ray).await;
    let models = model("job", UNTIL_GO, "retry = { max = 2, backoff = \"10ms\" }");
    let mut stack = ray.stack_at(&door.address, &in_place(), &models).await;
    let (run, id) = started(&stack).await;
    stack.wait_for_lines("runs", 1).await;
    wait_for_state(&stack, &id, "running").await;
    door.set(Way::Forgetful);
    stack.server.kill();
    stack.restart().await;
    // Many looks, all of which are answered with "there is no such job".
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stack.job(&id)["job"]["state"], "running");
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_outlive_the_crash_of_a_head_that_forgets_them_all() {
    let Some(ray) = Ray::shared("the crash of Ray's head").await else {
        return;
    };
    ray.take_gpus("others-who-are-forgotten").await;
    let retry = "retry = { max = 1, backoff = \"10ms\" }";
    let waiting = model("waiting", "echo $TRAINHOOK_ATTEMPT >> waited", retry);
    let waiting = format!("{waiting}resources = {{ gpus = 1 }}\n");
    let models = model("job", UNTIL_GO, retry) + &waiting;
    let mut stack = ray.stack("call_timeout = \"2s\"\n", &models).await;
    let (run, id) = started(&stack).await;
    let queued = stack.new_run();
    let queued_id = job_id(&stack.click(&queued, "waiting").await);
    stack.wait_for_lines("runs", 1).await;
    wait_for_state(&stack, &queued_id, "pending").await;

    ray.script(&["crash"], &[]);
    // A server that starts meanwhile finds no Ray, and ends no job for that.
    stack.server.kill();
    stack.restart().await;
    let away = || {
        let job = &stack.job(&queued_id)["job"];
        job["waiting"]
            .as_str()
            .is_some_and(|why| why.contains("does not answer"))
            .then_some(())
    };
    wait_until("that Ray is away", away).await;
    ray.script(&["revive"], &[]);

    let told = stack.told(&queued, "COMPLETE").await;
    assert_eq!(statuses(&told).last(), Some(&"COMPLETE"));
    assert_eq!(stack.lines("waited"), ["2"], "{}", stack.job(&queued_id));
    // The command of the first one was stopped with the head, and runs again.
    stack.wait_for_lines("runs", 2).await;
    stack.go();
    stack.told(&run, "COMPLETE").await;
    assert_eq!(stack.lines("runs"), ["1", "2"], "{}", stack.job(&id));
}
