//! Tests over real sockets, processes and files; one module a subject.

mod acceptance;
mod circle;
mod command_log;
mod conformance;
mod emulator;
mod event_command;
mod http_body;
mod http_listener;
mod http_shutdown;
mod intake;
mod intake_paths;
mod intake_signature;
mod labelbox_client;
mod local_executor;
mod processes;
mod reporting;
mod stops;
mod supervisor;
mod supervisor_reasons;
mod support;
