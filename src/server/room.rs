//! Looking at the disks while the server runs.

use std::time::Duration;

use crate::{
    config::{Config, Current},
    disk::Room,
};

/// How often the disks are looked at.
const ROOM_INTERVAL: Duration = Duration::from_secs(2);

/// Looks at the disks, for ever; one that hangs leaves what was known.
pub(super) async fn watch_room(config: Current<Config>, room: Current<Room>) {
    loop {
        tokio::time::sleep(ROOM_INTERVAL).await;
        let server = config.get().server.clone();
        let look = move || Room::look(&server.state_dir, &server.jobs_dir, server.min_free);
        let Ok(now) = tokio::task::spawn_blocking(look).await else {
            continue;
        };
        let (before, shortage) = (room.get().shortage(), now.shortage());
        match (before, shortage) {
            (None, Some(shortage)) => tracing::error!("{shortage}"),
            (Some(_), None) => tracing::info!("there is room on the disks again: jobs may start"),
            _ => {}
        }
        room.replace(now);
    }
}
