//! Where secrets are, and where they are not.

use std::{fs, path::Path};

use crate::support::{
    processes,
    stack::{API_KEY, SECRET, Stack, UNTIL_GO, job_id, model, wait_until},
};

/// What the model's command is given in its environment.
const TOKEN: &str = "a token for the model's own storage";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_an_argument_a_foreign_environment_a_log_or_a_file_of_ours() {
    let token = tempfile::NamedTempFile::new().expect("a file for the token");
    fs::write(&token, TOKEN).expect("it is writable");
    let given = format!("env = {{ TOKEN = {{ file = {:?} }} }}", token.path());
    let script = format!("printf %s \"$TOKEN\" | wc -c >> tokens; {UNTIL_GO}; exit 1");
    let mut stack = Stack::start(&model("job", &script, &given)).await;
    let run = stack.new_run();
    stack.click(&run, "job").await;
    stack.wait_for_lines("runs", 1).await;
    assert_eq!(stack.lines("tokens"), [TOKEN.len().to_string()]);
    no_process_shows_one(stack.folder.path());
    stack.go();
    stack.told(&run, "FAILED").await;
    stack.server.stop().await;
    assert!(!holds_one(stack.server.log_text().as_bytes()));
    no_file_holds_one(stack.folder.path());
}

/// A launcher that quotes what it was given, as schedulers do when they refuse or explain.
const QUOTING: &str = r#"
text=$(cat)
token=$(cat token)
launch=$(printf %s "$text" | sed -E 's/.*"launch_id": *"([^"]*)".*/\1/')
case $1 in
submit) echo '{"handle": 1}' ;;
observe) echo "{\"attempts\": [{\"launch_id\": \"$launch\", \"phase\": \"queued\", \"reason\": \"no node for TOKEN=$token\"}]}" ;;
find) echo '{"handles": []}' ;;
esac
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_to_wait_that_quotes_a_secret_is_shown_without_it() {
    let folder = tempfile::tempdir().expect("a folder for the launcher");
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
    put("token", TOKEN);
    put("launcher.sh", QUOTING);
    let place = folder.path().display();
    let executor = format!(
        "[executors.quoting]\nkind = \"program\"\ncommand = [\"sh\", \"-c\", \"cd {place} && exec sh launcher.sh $0\"]\n"
    );
    let given = format!("env = {{ TOKEN = {{ file = \"{place}/token\" }} }}");
    let job = model("job", "true", &given).replace("\"local\"", "\"quoting\"");
    let stack = Stack::start_with(&format!("{executor}{job}")).await;
    let run = stack.new_run();
    let id = job_id(&stack.click(&run, "job").await);
    let waiting = wait_until("a reason", || {
        let job = stack.job(&id);
        let waiting = job["job"]["waiting"].as_str().map(str::to_owned);
        waiting.filter(|why| why.contains("no node"))
    });
    assert_eq!(waiting.await, "no node for TOKEN=[redacted]");
}

/// Arguments are for everybody to read; the command's environment holds the token alone.
fn no_process_shows_one(folder: &Path) {
    let living = processes::living_in(folder);
    assert!(living.len() >= 3, "server, supervisor and command");
    for process in living {
        let of = |name: &str| fs::read(format!("/proc/{}/{name}", process.pid)).unwrap_or_default();
        let arguments = of("cmdline");
        assert!(
            !holds_one(&arguments),
            "{}",
            String::from_utf8_lossy(&arguments)
        );
        let environment = of("environ");
        assert!(!holds(&environment, SECRET) && !holds(&environment, API_KEY));
    }
}

fn no_file_holds_one(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("an entry has a kind");
        if kind.is_dir() {
            no_file_holds_one(&path);
        } else if kind.is_file() && !is_given(&path) {
            let content = fs::read(&path).expect("a file of our own user");
            assert!(!holds_one(&content), "{}", path.display());
        }
    }
}

/// The files in which the test itself hands them out.
fn is_given(path: &Path) -> bool {
    ["secret", "key"].iter().any(|name| path.ends_with(name))
}

fn holds_one(bytes: &[u8]) -> bool {
    [SECRET, API_KEY, TOKEN]
        .iter()
        .any(|secret| holds(bytes, secret))
}

fn holds(bytes: &[u8], secret: &str) -> bool {
    bytes
        .windows(secret.len())
        .any(|window| window == secret.as_bytes())
}
