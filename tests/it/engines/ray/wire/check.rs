//! Whether it is Ray at all.

use serde_json::json;

use super::{absent, played};
use crate::support::scripted::Reply;

#[tokio::test]
async fn a_check_tells_rays_apart_from_others() {
    let version = || Reply::new(200, json!({"version": "4", "ray_version": "2.60.0"}));
    let status = json!({"data": {"clusterStatus": {"loadMetricsReport": {"usage": {"CPU": [0.0, 4.0], "GPU": [0.0, 2.0]}}}}});
    let (_ray, executor) = played([version(), absent(), Reply::new(200, status)]).await;
    assert_eq!(
        executor.check().await.expect("well"),
        "Ray 2.60.0, 4 CPUs, 2 GPUs"
    );
    let (_ray, executor) = played([version(), Reply::new(401, "Unauthorized")]).await;
    let error = executor.check().await.expect_err("no token");
    assert!(error.to_string().contains("set token"), "{error}");
    let (_ray, executor) = played([Reply::new(200, "{}")]).await;
    let error = executor.check().await.expect_err("something else");
    assert!(
        error.to_string().ends_with("is not a dashboard of Ray's"),
        "{error}"
    );
}
