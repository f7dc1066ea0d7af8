//! A supervisor that runs and cannot reach the server.

use super::Site;
use crate::support::stack::{job_id, model, wait_until};

const SOON: &str = "unclaimed_after = \"100ms\"\npoll_interval = \"100ms\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_its_engine_runs_unheard_asks_whether_jobs_url_can_be_reached() {
    let site = Site::start_on(SOON, &model("job", "true", "")).await;
    site.proxy.lead_to(None);
    let run = site.stack.new_run();
    let id = job_id(&site.stack.click(&run, "job").await);
    let waiting = || {
        let waiting = site.stack.job(&id)["job"]["waiting"]
            .as_str()
            .map(str::to_owned);
        waiting.filter(|text| text.contains("nobody has claimed it"))
    };
    let waiting = wait_until("the question", waiting).await;
    let question = format!("is jobs_url (http://{}) reachable", site.proxy.address);
    assert!(waiting.contains(&question), "{waiting}");
    let launch_id = format!("th-{}-a1", id.replace('-', ""));
    assert!(waiting.contains(&launch_id), "where to look: {waiting}");
    site.connect();
    site.stack.told(&run, "COMPLETE").await;
    assert!(site.stack.job(&id)["job"]["waiting"].is_null());
}
