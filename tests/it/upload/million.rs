//! A million predictions in a server that stays small.
