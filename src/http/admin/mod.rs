//! The admin listener.
use crate::{
    config::{Config, Secret},
    http::body::BodyLimits,
    store::Store,
};
use std::{collections::BTreeMap, convert::Infallible};
use warp::{Filter, Reply, reply::Response};
/// The token.
#[derive(Debug)]
pub struct AdminToken(#[expect(dead_code, reason = "draft")] Secret);
impl AdminToken {
    /// Takes it.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }
}
/// Routes' needs.
#[derive(Debug)]
pub struct Admin {}
impl Admin {
    /// Takes them.
    #[must_use]
    pub fn new(
        _store: Store,
        _config: &Config,
        _slots: BTreeMap<String, u32>,
        _token: AdminToken,
    ) -> Self {
        Self {}
    }
}
/// Routes.
#[must_use]
pub fn admin_routes(
    _admin: Admin,
    _body: BodyLimits,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    warp::any().map(|| warp::reply::reply().into_response())
}
