//! `trainhook doctor`: what it finds wrong, and that it finds nothing where nothing is.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use crate::support::{
    clicks::address,
    stack::{API_KEY, Stack, model, trainhook_in},
};

/// What it said, and whether all was well.
fn doctor(stack: &Stack, arguments: &[&str]) -> (String, bool) {
    let output = trainhook_in(stack.folder.path(), &[&["doctor"], arguments].concat());
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(!told.contains(API_KEY), "{told}");
    (told, output.status.success())
}

/// What a proxy does to a request.
type Change = fn(String) -> String;

/// A proxy in front of the server that does this to every request that it hands on.
fn proxy(server: SocketAddr, change: Change) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let request = read_request(&mut client);
            let mut upstream = TcpStream::connect(server).expect("the server listens");
            upstream
                .write_all(change(request).as_bytes())
                .expect("the server takes it");
            let mut answer = Vec::new();
            upstream
                .read_to_end(&mut answer)
                .expect("the server answers");
            client.write_all(&answer).expect("the client takes it");
        }
    });
    address
}

/// Head and body, with the wish that the connection ends behind the answer.
fn read_request(client: &mut TcpStream) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.parse().ok());
            if bytes.len() >= head.len() + 4 + length.unwrap_or(0) {
                break;
            }
        }
        let count = client.read(&mut piece).expect("the client sends");
        bytes.extend_from_slice(&piece[..count]);
    }
    let request = String::from_utf8(bytes).expect("text");
    request.replacen("\r\n", "\r\nConnection: close\r\n", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_nothing_is_found_and_no_job_started() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    let url = format!("http://{}", address(&stack));
    let (told, well) = doctor(&stack, &["--url", &url]);
    assert!(well && told.contains("nothing is wrong"), "{told}");
    for word in [
        "state_dir",
        "executor local",
        "API key",
        "webhook secret",
        "clock",
        "POST model_run",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(stack.trainhook(&["jobs", "list"]).contains("no jobs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_labelbox_refuses_is_found() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    fs::write(stack.folder.path().join("key"), "another key").expect("the folder is writable");
    let (told, well) = doctor(&stack, &[]);
    let line = told.lines().find(|line| line.contains("API key"));
    assert!(
        !well && line.is_some_and(|line| line.starts_with("WRONG")),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_does_to_requests_is_found() {
    let stack = Stack::start(&model("digits", "true", "")).await;
    let server = address(&stack);
    let strip_header = |request: String| request.replace("x-hub-signature", "x-gone");
    let add_prefix = |request: String| request.replacen(" /", " /inner/", 1);
    let shorten = |request: String| match request.strip_suffix('\n') {
        Some(shorter) if request.starts_with("POST") => {
            let length = |body: &str| format!("content-length: {}", body.len());
            let (_, body) = request.split_once("\r\n\r\n").expect("a body");
            shorter.replace(&length(body), &length(&body[..body.len() - 1]))
        }
        _ => request,
    };
    let rewrite = |request: String| request.replace("1.0", "1.5");
    let changes: [(Change, &str); 4] = [
        (rewrite, "the secret is right"),
        (strip_header, "takes the header away"),
        (add_prefix, "arrived at /inner/ping"),
        (shorten, "something on the way removes it"),
    ];
    for (change, words) in changes {
        let url = format!("http://{}", proxy(server, change));
        let (told, well) = doctor(&stack, &["--url", &url]);
        assert!(!well && told.contains(words), "{words}: {told}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", closed.local_addr().expect("it listens"));
    drop(closed);
    let (told, well) = doctor(&stack, &["--url", &url]);
    assert!(!well && told.contains("cannot be reached"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_run_is_noted_and_is_nothing_wrong() {
    let mut stack = Stack::start(&model("digits", "true", "")).await;
    stack.server.stop().await;
    let (told, well) = doctor(&stack, &[]);
    assert!(well && told.contains("no server is running"), "{told}");
}
