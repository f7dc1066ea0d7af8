//! Kubernetes: on an API server of our own, whose node really runs what its pods say.

mod conformance;
mod crashes;
mod ends;
mod kubectl;
mod manifests;
mod real;
mod waits;
