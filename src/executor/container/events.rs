//! Hearing of ends at once. The looks at the engine are the net below.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{StreamExt, pin_mut};
use tokio::sync::Notify;

use super::{
    engine::{Engine, Fault},
    handle::SERVER_LABEL,
};
use crate::backoff::Backoff;

/// Between tries to listen: 1 s, 2 s, 4 s, … 60 s.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    most: Duration::from_secs(60),
};

/// A silent connection is made anew after this: it may be dead.
const RENEWAL: Duration = Duration::from_secs(300);

/// Rings `wake` whenever a container of ours starts or ends, for as long as somebody else holds it.
pub(super) async fn listen(engine: Engine, wake: Weak<Notify>) {
    let mut failures = 0;
    while wake.strong_count() > 0 {
        match tokio::time::timeout(RENEWAL, hear(&engine, &wake)).await {
            Err(_) => failures = 0,
            Ok(ended) => {
                failures += 1;
                tracing::debug!("the container engine's events are not heard: {ended:?}");
                tokio::time::sleep(BACKOFF.delay(failures)).await;
            }
        }
        // Something may have happened meanwhile.
        if let Some(wake) = wake.upgrade() {
            wake.notify_one();
        }
    }
}

async fn hear(engine: &Engine, wake: &Weak<Notify>) -> Result<(), Fault> {
    let docker = engine.connect().await?;
    let filters = HashMap::from([
        ("type", vec!["container"]),
        ("label", vec![SERVER_LABEL]),
        ("event", vec!["start", "die", "oom", "destroy"]),
    ]);
    let events = docker.events(Some(EventsOptionsBuilder::new().filters(&filters).build()));
    pin_mut!(events);
    while let Some(event) = events.next().await {
        event?;
        let Some(wake): Option<Arc<Notify>> = wake.upgrade() else {
            break;
        };
        wake.notify_one();
    }
    Ok(())
}
