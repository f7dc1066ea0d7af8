//! Tests over real sockets, processes and files; one module a subject.

mod conformance;
mod emulator;
mod http_body;
mod http_listener;
mod http_shutdown;
mod intake;
mod intake_paths;
mod intake_signature;
mod labelbox_client;
mod support;
