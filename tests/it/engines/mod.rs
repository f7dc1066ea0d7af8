//! Engines as they really are, where they could be started.

mod container;
