//! Tests over real sockets, processes and files; one module a subject.

mod command_log;
mod event_command;
mod local_executor;
mod processes;
mod supervisor;
mod supervisor_reasons;
mod support;
