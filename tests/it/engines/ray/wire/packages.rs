//! This program as a package of Ray's.

use std::{fs, path::Path, time::Duration};

use serde_json::json;

use super::{our_launch, played_with};
use crate::support::scripted::Reply;

#[tokio::test]
async fn the_program_is_uploaded_once_and_again_when_ray_has_forgotten_it() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let program = folder.path().join("trainhook");
    fs::write(&program, "#!/bin/sh\necho here\n").expect("the folder is writable");
    let more = format!("program = {program:?}");
    let missing = || Reply::new(404, "Package gcs://trainhook.zip does not exist");
    let taken = || Reply::new(200, "{}");
    let replies = [
        missing(),
        Reply::new(200, ""),
        taken(),
        Reply::new(200, ""),
        taken(),
        missing(),
        Reply::Hang,
    ];
    let (ray, executor) = played_with(&more, replies).await;
    executor.submit(&our_launch()).await.expect("taken");
    executor.submit(&our_launch()).await.expect("taken");
    let cut = tokio::time::timeout(Duration::from_secs(1), executor.submit(&our_launch())).await;
    assert!(cut.is_err(), "an upload may take its time");
    let requests = ray.finish();
    let package = requests[0].path.clone();
    assert!(
        package.starts_with("/api/packages/gcs/trainhook-"),
        "{package}"
    );
    let expected = ["GET", "PUT", "POST", "GET", "POST", "GET", "PUT"];
    let methods: Vec<&str> = requests
        .iter()
        .map(|request| request.method.as_str())
        .collect();
    assert_eq!(methods, expected);
    assert_eq!(requests[1].path, package);
    let body = requests[2].json();
    let address = format!("gcs://{}", package.trim_start_matches("/api/packages/gcs/"));
    assert_eq!(body["runtime_env"]["py_modules"], json!([address]));
    unpacks(folder.path(), &requests[1].body);
}

#[tokio::test]
async fn an_upload_that_takes_its_time_keeps_no_launch_back_whose_program_is_there() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let program = folder.path().join("trainhook");
    fs::write(&program, "#!/bin/sh\n").expect("the folder is writable");
    let more = format!("program = {program:?}");
    let missing = Reply::new(404, "Package gcs://trainhook.zip does not exist");
    let replies = [
        missing,
        Reply::Hang,
        Reply::new(200, ""),
        Reply::new(200, "{}"),
    ];
    let (ray, executor) = played_with(&more, replies).await;
    let slow = tokio::spawn({
        let executor = std::sync::Arc::clone(&executor);
        async move { executor.submit(&our_launch()).await }
    });
    while ray.recorded().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    executor.submit(&our_launch()).await.expect("taken");
    slow.abort();
    let requests = ray.finish();
    let methods: Vec<&str> = requests.iter().map(|one| one.method.as_str()).collect();
    assert_eq!(methods, ["GET", "PUT", "GET", "POST"]);
}

/// As Ray unpacks it.
fn unpacks(folder: &Path, archive: &[u8]) {
    fs::write(folder.join("package.zip"), archive).expect("the folder is writable");
    let script = "import zipfile; z = zipfile.ZipFile('package.zip'); i = z.infolist(); \
        assert z.testzip() is None and len(i) == 1; print(oct(i[0].external_attr >> 16), z.read(i[0]).decode())";
    let read = std::process::Command::new("python3")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .expect("python3 is there");
    let text = String::from_utf8_lossy(&read.stdout);
    assert_eq!(text.trim(), "0o100755 #!/bin/sh\necho here", "{read:?}");
}
