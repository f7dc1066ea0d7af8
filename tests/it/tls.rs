//! TLS by the server itself.

use std::{fs, net::SocketAddr, path::Path};

use tokio::{io::AsyncWriteExt, net::TcpStream};
use trainhook::outbound;

use crate::support::{
    clicks::address,
    stack::{Stack, model, settings, trainhook_in, workspace},
};

const FIRST: [&str; 2] = [
    include_str!("../fixtures/tls/first.cert.pem"),
    include_str!("../fixtures/tls/first.key.pem"),
];
const SECOND: [&str; 2] = [
    include_str!("../fixtures/tls/second.cert.pem"),
    include_str!("../fixtures/tls/second.key.pem"),
];

fn put(folder: &Path, [cert, key]: [&str; 2]) {
    fs::write(folder.join("cert.pem"), cert).expect("the folder is writable");
    fs::write(folder.join("key.pem"), key).expect("the folder is writable");
}

/// A server that speaks TLS, and the folder of its certificate.
async fn secure_server() -> (Stack, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    put(folder.path(), FIRST);
    let tls = format!(
        "[server.tls]\ncert = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n",
        folder.path().display()
    );
    let stack = Stack::start_whole(|endpoint| {
        let executor = "[executors.local]\nkind = \"local\"\n";
        settings() + &tls + &workspace("main", "/", endpoint) + executor + &model("m", "true", "")
    });
    (stack.await, folder)
}

/// Asks by TLS, trusting this certificate alone; answers whether that went well.
async fn is_served(server: SocketAddr, [cert, _]: [&str; 2]) -> bool {
    let root = reqwest::Certificate::from_pem(cert.as_bytes()).expect("a certificate");
    let client = outbound::client_builder()
        .tls_certs_only([root])
        .build()
        .expect("a client");
    let answer = client.get(format!("https://{server}/ping")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_replaced_is_served_without_a_restart() {
    let (stack, folder) = secure_server().await;
    let server = address(&stack);
    assert!(is_served(server, FIRST).await);
    assert!(!is_served(server, SECOND).await);
    // A half-replaced pair changes nothing.
    put(folder.path(), [SECOND[0], FIRST[1]]);
    stack.server.logged("the certificate stays as it was").await;
    assert!(is_served(server, FIRST).await);
    put(folder.path(), SECOND);
    stack.server.logged("is in use now").await;
    assert!(is_served(server, SECOND).await);
    assert!(!is_served(server, FIRST).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_speaks_no_tls_costs_nothing_but_its_connection() {
    let (stack, _folder) = secure_server().await;
    let server = address(&stack);
    let mut plain = TcpStream::connect(server).await.expect("it listens");
    let request = plain.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    request.await.expect("it is sent");
    let mut answer = Vec::new();
    // Closed or reset, but never answered.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let _silent = TcpStream::connect(server).await.expect("it listens");
    assert!(is_served(server, FIRST).await);
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_before_the_start() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    put(folder.path(), [FIRST[0], SECOND[1]]);
    let tls = "[server.tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
    let endpoint = "https://api.labelbox.com/graphql";
    let file = settings()
        + tls
        + &workspace("main", "/", endpoint)
        + "[executors.local]\nkind = \"local\"\n"
        + &model("m", "true", "");
    for name in ["secret", "key"] {
        fs::write(folder.path().join(name), "long enough for a secret").expect("it is writable");
    }
    fs::write(folder.path().join("models.toml"), file).expect("the folder is writable");
    let checked = trainhook_in(folder.path(), &["check"]);
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(told.contains("cannot be used"), "{told}");
    let served = trainhook_in(folder.path(), &["serve"]);
    let told = String::from_utf8_lossy(&served.stderr).into_owned();
    assert!(
        !served.status.success() && told.contains("cert.pem"),
        "{told}"
    );
}
