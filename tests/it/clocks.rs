//! Clocks that are set: a day ahead, a day back, while jobs wait, run, end and are told.

use std::{fs, path::PathBuf};

use trainhook::emulator::{Fault, FaultKind};

use crate::support::{
    script::write_program,
    skip,
    stack::{Stack, UNTIL_GO, model, settings, statuses, workspace},
};

/// The library that shows a process another time.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let library = |folder: fs::DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
    let mut libraries = folders.map_while(Result::ok).map(library);
    libraries.find(|library| library.exists())
}

/// A server whose clock is as far from ours as the file `clock` says: `+1d`.
async fn stack_with_a_clock(library: PathBuf, models: &str) -> (Stack, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0").expect("it is writable");
    let script = format!(
        "export LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\nexec {} \"$@\"\n",
        library.display(),
        clock.display(),
        env!("CARGO_BIN_EXE_trainhook"),
    );
    let program = write_program(folder.path(), "trainhook-elsewhen", &script);
    let executor = "[executors.local]\nkind = \"local\"\nmax_running = 1\n";
    let file = |endpoint: &str| {
        let given = settings() + &workspace("main", "/", endpoint);
        format!("{given}{executor}{models}")
    };
    (Stack::start_program(&program, file).await, folder)
}

fn a_bad_minute() -> Fault {
    let status = FaultKind::Status {
        status: 503,
        body: None,
        headers: Vec::new(),
    };
    Fault::times("updateTrainingPipeline", 2, status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_delays_nothing_and_ends_nothing() {
    let Some(library) = library() else {
        return skip("clocks that are set: libfaketime is not here");
    };
    let limits = "run_timeout = \"1h\"\nretry = { max = 2, backoff = \"100ms\" }";
    let shaky = "echo $TRAINHOOK_ATTEMPT >> tries; [ $TRAINHOOK_ATTEMPT -ge 2 ] || exit 75";
    let models = model("long", UNTIL_GO, limits) + &model("shaky", shaky, limits);
    let (mut stack, folder) = stack_with_a_clock(library, &models).await;
    for (time, set) in ["+1d", "-1d", "+0"].into_iter().enumerate() {
        let (long, _) = stack.click_in_turn("long").await;
        stack.wait_for_lines("runs", time + 1).await;
        let (shaky, id) = stack.click_in_turn("shaky").await;
        fs::write(folder.path().join("clock"), set).expect("it is writable");
        stack.emulator.add_fault(a_bad_minute());
        // What came after the clock was set is answered and taken in turn as ever.
        let (after, _) = stack.click_in_turn("shaky").await;
        stack.go();
        for run in [&long, &shaky, &after] {
            let timeline = stack.told(run, "COMPLETE").await;
            let told = statuses(&timeline);
            assert_eq!(
                told.iter().filter(|status| **status == "FAILED").count(),
                0,
                "{set}: {told:?}"
            );
        }
        assert_eq!(stack.job(&id)["job"]["attempt"], 2);
        fs::remove_file(stack.folder.path().join("go")).expect("it is there");
        stack.server.kill();
        stack.restart().await;
    }
    assert_eq!(
        stack.lines("runs"),
        ["1", "1", "1"],
        "no training began twice"
    );
    assert_eq!(stack.lines("tries").len(), 12);
}
