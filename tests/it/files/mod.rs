//! The files of a run's rows: what is fetched, what is kept, what is told of what is missing.

mod caching;
mod circle;
mod desk;
mod missing;
mod patience;
mod places;
mod restarts;
