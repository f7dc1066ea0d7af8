//! kill -9 on server and supervisors at random instants, over many jobs, while Labelbox fails now and then.
//!
//! Chance meets most points; those that matter are each met on purpose by a test of their own. In `points`, system call by
//! system call, over HTTP in `mirrored`, and on the way of data and predictions in `carried`:
//!
//! - after the 200; after `submitting` is committed; a supervisor is spawned and holds no lock; it holds the lock and no
//!   claim; the claim is won and no command spawned; the command runs; it has ended and there is no record; the record is
//!   written and not seen; it is seen and not committed: `at_every_step_a_kill_breaks_no_promise`,
//!   `at_every_step_over_http_a_kill_breaks_no_promise`. The supervisor that comes late:
//!   `a_supervisor_that_comes_late_finds_its_attempt_taken`;
//! - task, splits and rows of an export come; images come; predictions are frozen, posted and looked after:
//!   `at_every_step_of_data_and_predictions_a_kill_breaks_no_promise`.
//!
//! Where Labelbox, a disk or a clock must stand in a certain way for it:
//!
//! | the point | its test |
//! |---|---|
//! | a final is committed and not sent | `reporting::finals::a_final_that_nobody_was_told_when_the_server_was_killed_is_told` |
//! | a final is sent and not marked | `reporting::finals::a_final_that_was_told_and_not_marked_when_the_server_was_killed_is_told_again` |
//! | an export task is created and not recorded | `export::restart::a_task_that_labelbox_began_and_nobody_noted_is_found_by_its_name` |
//! | half of the data is downloaded | `export::restart::a_server_that_is_killed_goes_on_behind_what_is_on_disk`, `files::circle::a_server_that_is_killed_while_files_come_in_goes_on_with_the_rest` |
//! | a chunk is posted and its row not written | `upload::kills::a_kill_while_the_second_chunk_is_sent_loses_and_repeats_nothing` |
//! | an import runs | `upload::kills::a_kill_while_an_import_runs_finds_it_again` |
//! | a cancel is wished and not acted on | `stopping::a_wish_to_stop_that_could_not_be_acted_on_outlives_the_server` |
//! | the disk is full in the middle of a batch | `full_disk::of_many_clicks_at_once_on_a_disk_that_fills_up_each_is_told_the_truth`, and the tests of `store::writer` |
//! | a write panics | `store::writer`: from outside none can be made to |
//! | the clock is set a day ahead, a day back | `clocks::a_clock_that_is_set_delays_nothing_and_ends_nothing` |
//! | `state_dir` is deleted under the server | `server_process::a_server_whose_state_dir_is_deleted_acknowledges_nothing_more` |
//! | an older backup is put back | `backup::what_happened_after_the_backup_is_followed_and_not_started_again`, `backup::what_waited_at_the_backup_and_began_since_is_not_started_again`, `backup::an_old_final_is_read_back_before_it_is_sent_again`, `mirror::outages::an_attempt_goes_on_with_a_server_of_which_only_a_backup_was_left` |
//!
//! `TRAINHOOK_KILLS` says how many kills (a few hundred if it is not set), `TRAINHOOK_SEED` which ones.

mod carried;
mod mirrored;
mod models;
mod points;
mod promises;
mod trial;

use std::time::Duration;

use models::PREDICTIONS;
use trial::{Trial, is_final};

const KILLS: usize = 300;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_whenever_every_promise_holds() {
    let kills =
        setting("TRAINHOOK_KILLS").map_or(KILLS, |kills| usize::try_from(kills).expect("it fits"));
    let seed = setting("TRAINHOOK_SEED").unwrap_or(20_261_123);
    let mut trial = Trial::start(seed).await;
    for _ in 0..kills {
        for _ in 0..trial.numbers.below(3) {
            trial.click().await;
        }
        if trial.numbers.below(3) == 0 {
            trial.spoil();
        }
        // The instant of the kill is what is tried here: no event could stand for it.
        let instant = Duration::from_micros(trial.numbers.below(60_000) as u64);
        tokio::time::sleep(instant).await;
        trial.kill_something().await;
    }
    trial.settle().await;
    trial.fill_all_slots().await;
    promises::hold(&trial).await;
}
