//! trainhook

pub mod backoff;
pub mod cli;
pub mod config;
pub mod emulator;
pub mod executor;
pub mod http;
pub mod job;
pub mod job_dir;
pub mod labelbox;
pub mod outbound;
pub mod process;
pub mod reporter;
pub mod scheduler;
pub mod server;
pub mod signature;
pub mod store;
pub mod supervisor;
pub mod transfer;
