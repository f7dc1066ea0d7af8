//! An engine that is reached over TCP, where both sides show a certificate.

use std::{fs, net::TcpListener, path::Path};

use serde_json::Value;

use crate::support::{
    docker::{Containers, Docker, IMAGE, in_container},
    stack::wait_until,
};

/// Certificates that one authority has signed, for `127.0.0.1`.
const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/engine");

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("an address").port()
}

/// An engine of the test's own that takes nobody without a certificate, and its port.
fn secured_engine(what: &str) -> Option<(Docker, u16)> {
    let port = free_port();
    let file = |name: &str| format!("{CERTIFICATES}/{name}.pem");
    let (host, ca) = (format!("tcp://127.0.0.1:{port}"), file("ca"));
    let (cert, key) = (file("engine.cert"), file("engine.key"));
    let options = ["--host", &host, "--tlsverify", "--tlscacert", &ca];
    let own = ["--tlscert", &cert, "--tlskey", &key];
    let docker = Docker::own(what, &[&options[..], &own].concat())?;
    Some((docker, port))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_wants_a_certificate_is_shown_one() {
    let Some((docker, port)) = secured_engine("an engine behind TLS") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder for the certificates");
    let put = |from: &str, to: &str| {
        fs::copy(Path::new(CERTIFICATES).join(from), folder.path().join(to)).expect("it is there");
    };
    put("ca.pem", "ca.pem");
    put("client.key.pem", "key.pem");
    let at = |name: &str| folder.path().join(name);
    let executor = format!(
        "[executors.docker]\nkind = \"container\"\nhost = \"tcp://127.0.0.1:{port}\"\nimage = \"{IMAGE}\"\npull = \"never\"\n\
         network = \"none\"\ntls = {{ ca = {:?}, cert = {:?}, key = {:?} }}\n",
        at("ca.pem"),
        at("cert.pem"),
        at("key.pem"),
    );
    let rest = format!("{executor}{}", in_container("job", "true", ""));
    let containers = Containers::start_with(docker, &rest).await;
    let (run, id) = containers.click("job").await;
    // Certificates come late and are renewed: a job waits for them, and says so.
    wait_until("a reason", || {
        let job = containers.stack.job(&id);
        let waiting = job["job"]["waiting"].as_str();
        waiting
            .is_some_and(|why| why.contains("cert.pem"))
            .then_some(())
    })
    .await;
    put("client.cert.pem", "cert.pem");
    containers.stack.told(&run, "COMPLETE").await;
    let job: Value = containers.stack.job(&id);
    assert_eq!(job["job"]["attempt"], 1, "{job}");
}
