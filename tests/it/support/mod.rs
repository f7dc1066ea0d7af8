//! What tests share.

pub mod attempts;
