//! The files in which Labelbox says what became of an import: of one that is finished, and of one that failed.

use serde_json::json;
use trainhook::emulator::{Fault, FaultKind};

use super::{LOOK, POST, RESULTS, assert_whole, fails, line, lines, start, status};
use crate::support::stack::Stack;

/// The file of a failed import that is read first.
const ERRORS: &str = "/files/imports/errors";

/// A page that something on the way sends in place of the file.
fn page() -> FaultKind {
    FaultKind::Status {
        status: 200,
        body: Some(json!("<html>please log in</html>")),
        headers: Vec::new(),
    }
}

/// A server whose first import fails, with something wrong with its files; answers why the job failed, without its id.
async fn why_it_failed(message: &str, wrong: Vec<Fault>) -> (Stack, String) {
    let stack = start("").await;
    stack.leave(&lines(0..3));
    stack.emulator.add_fault(Fault::once(POST, fails(message)));
    for fault in wrong {
        stack.emulator.add_fault(fault);
    }
    let (run, id) = stack.click_run().await;
    stack.failed(&run).await;
    let job = stack.job(&id)["job"].clone();
    assert_eq!(
        (&job["state"], &job["cause"]),
        (&json!("failed"), &json!("upload_failed"))
    );
    let reason = job["message"].as_str().expect("a reason").to_owned();
    let import = format!("(th-{}-u1-c1)", id.replace('-', ""));
    let reason = reason.strip_suffix(&import).expect("the import's name");
    (stack, reason.trim_end().to_owned())
}

const NO_LUCK: &str = "trained, but Labelbox could not import chunk 1 of 2 of its predictions: 2 × no luck (line 1 is the \
                       first); once that is mended, `trainhook jobs retry-upload` sends it again";

const NO_REASON: &str = "trained, but Labelbox could not import chunk 1 of 2 of its predictions, and does not say why: try \
                         `trainhook jobs retry-upload`";

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_import_fails_its_job_with_the_reasons_of_its_error_file() {
    let (stack, reason) = why_it_failed("no luck", Vec::new()).await;
    assert_eq!(reason, NO_LUCK);
    let asked = stack.emulator.file_requests();
    let of_imports = asked.iter().filter(|path| path.starts_with(RESULTS));
    assert!(
        of_imports.clone().all(|path| path.ends_with("/errors")),
        "{asked:?}"
    );
    assert_eq!(of_imports.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_error_file_the_status_file_says_why_an_import_failed() {
    for gone in [status(404), status(503), page()] {
        let gone = vec![Fault::times(ERRORS, 100, gone)];
        let (_, reason) = why_it_failed("no luck", gone).await;
        assert_eq!(reason, NO_LUCK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_import_whose_addresses_have_expired_is_asked_for_new_ones() {
    let expired = vec![Fault::times(RESULTS, 4, FaultKind::AddressExpires)];
    let (_, reason) = why_it_failed("no luck", expired).await;
    assert_eq!(reason, NO_LUCK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_import_fails_its_job_also_without_a_reason() {
    let (_, reason) = why_it_failed("", Vec::new()).await;
    assert_eq!(reason, NO_REASON);
    let gone = vec![Fault::times(RESULTS, 1000, status(404))];
    let (_, reason) = why_it_failed("no luck", gone).await;
    assert_eq!(reason, NO_REASON);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_has_expired_is_not_asked_again() {
    let stack = start("").await;
    stack.leave(&lines(0..2));
    let expires = FaultKind::AddressExpires;
    stack.emulator.add_fault(Fault::times(RESULTS, 2, expires));
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 2);
    assert_eq!(stack.emulator.file_requests().len(), 3 + exported(&stack));
}

/// Files of exports that were asked for.
fn exported(stack: &Stack) -> usize {
    let asked = stack.emulator.file_requests();
    asked
        .iter()
        .filter(|path| !path.starts_with(RESULTS))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_that_does_not_hold_after_other_trouble_ends_nothing() {
    let stack = start("").await;
    stack.leave(&[line(0)]);
    let cut = FaultKind::TruncateBody { bytes: 30 };
    for trouble in [
        status(500),
        FaultKind::DropBefore,
        cut,
        status(503),
        status(404),
    ] {
        stack.emulator.add_fault(Fault::once(RESULTS, trouble));
    }
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_of_results_refuses_no_prediction() {
    let stack = start("").await;
    stack.leave(&lines(0..3));
    stack.emulator.add_fault(Fault::once(RESULTS, page()));
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 3);

    stack.emulator.add_fault(Fault::times(RESULTS, 100, page()));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason.starts_with(
            "trained, but nobody knows which of its predictions Labelbox took: the results of an import cannot be read: \
             no line of it is a result"
        ),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_labelbox_refused_is_listed_also_if_a_later_import_fails() {
    let stack = start("").await;
    stack.leave(&lines(0..5));
    let every = FaultKind::RefusesEvery { lines: 2 };
    stack.emulator.add_fault(Fault::once(POST, every));
    stack
        .emulator
        .add_fault(Fault::once(POST, fails("no luck")));
    let (run, id) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(reason.contains("chunk 2 of 3"), "{reason}");
    let listed = stack.rejected(&id);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["line"], &listed[0]["by"]),
        (&json!(2), &json!("labelbox"))
    );
    let shown = stack.trainhook(&["jobs", "show", &id]);
    assert!(
        shown.contains("-c2  2 × no luck (line 3 is the first)"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_labelbox_forgets_for_a_moment_is_asked_for_again() {
    let stack = start("").await;
    stack.leave(&[line(0)]);
    let forgotten = FaultKind::GraphqlError {
        code: "RESOURCE_NOT_FOUND".to_owned(),
        message: "no such import".to_owned(),
        exception_status: None,
    };
    // The first look comes before the import is sent.
    let trouble = [
        FaultKind::Delay { milliseconds: 0 },
        status(503),
        forgotten,
        status(502),
    ];
    for kind in trouble {
        stack.emulator.add_fault(Fault::once(LOOK, kind));
    }
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refusal_of_a_look_gives_up_no_import() {
    let stack = start("").await;
    stack.leave(&[line(0)]);
    let refused = || FaultKind::GraphqlError {
        code: "OPERATION_NOT_ALLOWED".to_owned(),
        message: "not now".to_owned(),
        exception_status: None,
    };
    // One before the import is sent, one after it.
    let looks = [refused(), FaultKind::Delay { milliseconds: 0 }, refused()];
    for kind in looks {
        stack.emulator.add_fault(Fault::once(LOOK, kind));
    }
    let (run, _) = stack.click_run().await;
    stack.told(&run, "COMPLETE").await;
    assert_whole(&stack.imported(&run), 1);

    stack.emulator.add_fault(Fault::times(LOOK, 100, refused()));
    let (run, _) = stack.click_run().await;
    let reason = stack.failed(&run).await;
    assert!(
        reason.starts_with("trained, but its predictions were refused: ")
            && reason.contains("not now"),
        "{reason}"
    );
}
