//! What the world calls: our own accept loop with warp's filters as the service, and the routes behind it.
//!
//! A slow, huge or silent client costs nothing but its own connection: every wait and every buffer has a bound.

pub mod admin;
mod answer;
pub mod body;
mod connection;
pub mod error;
pub mod labelbox;
pub mod listener;
pub mod mirror;
mod route;
mod socket;
pub mod tls;
pub mod visits;
