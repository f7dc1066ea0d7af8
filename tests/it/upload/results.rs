//! The files in which Labelbox says what became of an import.

use trainhook::emulator::{Fault, FaultKind};

use super::{LOOK, RESULTS, assert_whole, line, start};
fn status(status: u16) -> FaultKind {
    FaultKind::Status {
        status,
        body: None,
        headers: Vec::new(),
    }
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
