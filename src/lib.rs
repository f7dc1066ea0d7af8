//! trainhook

pub mod backoff;
pub mod cli;
pub mod config;
pub mod emulator;
pub mod executor;
pub mod job;
pub mod job_dir;
pub mod outbound;
pub mod signature;
