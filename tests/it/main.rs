//! Tests over real sockets, processes and files; one module a subject.

mod admin;
mod circle;
mod command_log;
mod conformance;
mod custom_executor;
mod demo;
mod digits;
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
mod people;
mod processes;
mod server_process;
mod stopping;
mod supervisor;
mod supervisor_reasons;
mod support;
