//! Tests over real sockets, processes and files; one module a subject.

mod http_listener;
mod intake;
mod support;
