//! Jobs on Ray: on a real one, and what its odd answers are taken for.

mod conformance;
mod crashes;
mod ends;
mod losses;
mod settings;
mod token;
mod wire;
