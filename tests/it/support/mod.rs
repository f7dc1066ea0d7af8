//! What several subjects share.

pub(crate) mod attempts;
pub(crate) mod clicks;
pub(crate) mod labelbox_door;
pub(crate) mod numbers;
pub(crate) mod processes;
pub(crate) mod raw_http;
pub(crate) mod scripted;
pub(crate) mod server;
pub(crate) mod stack;
