//! What an engine may still hold of attempts that are over: removed beside the engine's loop, so that one that does
//! not let go holds up nothing.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use jiff::Timestamp;

use super::{Context, Engine, engine_loop::CALL_TIMEOUT};
use crate::{
    backoff::{Backoff, rest_after},
    executor::QueryError,
    store::{Leftover, StoreError},
};

/// Looked for at least this often.
const INTERVAL: Duration = Duration::from_secs(10);

/// Removed at once, on one engine.
const AT_ONCE: usize = 4;

/// A leftover that could not be removed so often is worth a warning: engines take a moment to let go of what has ended.
const FAILURES_EXPECTED: u32 = 2;

/// Between tries to remove a leftover: 10 s, 20 s, 40 s, … 10 min.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(10),
    most: Duration::from_secs(600),
};

/// Removes the leftovers of one engine, for ever.
pub(super) async fn remove_leftovers(context: Arc<Context>, engine: Engine) {
    let mut changes = context.store.changes();
    loop {
        changes.mark_unchanged();
        let begun = std::time::Instant::now();
        if let Err(error) = remove_due(&context, &engine).await {
            tracing::warn!(
                executor = engine.name,
                "cannot remove what has ended: {error}"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(rest_after(begun.elapsed())).await;
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn remove_due(context: &Context, engine: &Engine) -> Result<(), StoreError> {
    let name = engine.name.clone();
    let due = context.store.leftovers_due(name, Timestamp::now()).await?;
    let removals = due.into_iter().map(|one| remove(context, engine, one));
    let mut removals = futures_util::stream::iter(removals).buffer_unordered(AT_ONCE);
    while let Some(removed) = removals.next().await {
        removed?;
    }
    Ok(())
}

/// Whether its job has not been told yet how the attempt ended: the engine's word is evidence until then.
async fn is_still_judged(context: &Context, leftover: &Leftover) -> Result<bool, StoreError> {
    let launch_id = leftover.handle.launch_id;
    let job = context.store.job(launch_id.job).await?;
    Ok(job.is_some_and(|job| job.state.holds_slot() && job.launch_id() == launch_id))
}

async fn remove(context: &Context, engine: &Engine, leftover: Leftover) -> Result<(), StoreError> {
    if is_still_judged(context, &leftover).await? {
        return Ok(());
    }
    let executor = &engine.executor;
    let removal = async {
        executor.cancel(&leftover.handle, Duration::ZERO).await?;
        executor.cleanup(&leftover.handle).await
    };
    let removed = tokio::time::timeout(CALL_TIMEOUT, removal).await;
    let removed =
        removed.unwrap_or_else(|_| Err(QueryError("the engine did not answer in time".to_owned())));
    let Err(error) = removed else {
        return context.store.remove_leftover(leftover.id).await;
    };
    if leftover.failures < FAILURES_EXPECTED {
        tracing::debug!(
            executor = engine.name, launch_id = %leftover.handle.launch_id,
            "a leftover is not gone yet: {error}"
        );
    } else {
        tracing::warn!(
            executor = engine.name, launch_id = %leftover.handle.launch_id,
            "a leftover cannot be removed: {error}"
        );
    }
    let next_try_at = Timestamp::now() + BACKOFF.delay(leftover.failures + 1);
    context
        .store
        .postpone_leftover(leftover.id, error.to_string(), next_try_at)
        .await
}
