//! Tests over real sockets, processes and files; one module a subject.

mod conformance;
mod emulator;
