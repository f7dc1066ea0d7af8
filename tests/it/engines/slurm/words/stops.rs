//! What is ended, and by which words.

use std::time::Duration;

use trainhook::{executor::CancelOutcome, job::Phase};

use super::{Played, handle, user};

#[tokio::test]
async fn a_number_is_no_proof_neither_of_another_name_nor_of_another_user() {
    let slurm = Played::new();
    let (name, stranger) = (handle().launch_id, user() + 1);
    let foreign = format!(
        "7/{name}/{stranger}/RUNNING/main/None\\n7/other/{}/RUNNING/main/None",
        user()
    );
    slurm.plays("squeue", &format!("printf '{foreign}\\n'"));
    assert_eq!(slurm.look().await, Ok((Phase::Gone, None)));
    let ended = slurm.executor.cancel(&handle(), Duration::ZERO).await;
    assert_eq!(ended, Ok(CancelOutcome::AlreadyEnded));
    assert_eq!(slurm.arguments("scancel"), "");
}

#[tokio::test]
async fn a_job_is_ended_by_its_name_and_our_user() {
    let slurm = Played::new();
    slurm.queue("RUNNING", "main", "None");
    let outcome = slurm.executor.cancel(&handle(), Duration::ZERO).await;
    assert_eq!(outcome, Ok(CancelOutcome::Requested));
    let expected = format!("--quiet --user={} --name={}\n", user(), handle().launch_id);
    assert_eq!(slurm.arguments("scancel"), expected);
    let cleaned = slurm.executor.cleanup(&handle()).await;
    assert!(cleaned.is_err(), "it is still there");
    slurm.queue("CANCELLED", "main", "None");
    assert_eq!(slurm.executor.cleanup(&handle()).await, Ok(()));
}

#[tokio::test]
async fn a_job_that_ended_in_between_is_no_error() {
    let slurm = Played::new();
    slurm.queue("RUNNING", "main", "None");
    for code in [225, 229] {
        slurm.plays("scancel", &format!("exit {code}"));
        let outcome = slurm.executor.cancel(&handle(), Duration::ZERO).await;
        assert_eq!(outcome, Ok(CancelOutcome::Requested), "{code}");
    }
    slurm.plays(
        "scancel",
        "echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1",
    );
    let outcome = slurm.executor.cancel(&handle(), Duration::ZERO).await;
    assert!(outcome.is_err(), "{outcome:?}");
}
