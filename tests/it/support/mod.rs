//! What tests share.

pub(crate) mod attempts;
