//! Tests over real sockets, processes and files; one module a subject.

mod labelbox_client;
mod support;
