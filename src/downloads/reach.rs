//! Where files may be fetched from, and how an address is judged before anybody calls there.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use super::{DownloadError, address::is_reachable};
use crate::config::{Config, Current};

/// Where files may be fetched from: public addresses, and what the settings name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Networks that are reached although they are not public.
    pub allowed: Vec<IpNet>,
    /// Addresses whose scheme, host and port the operator has named: Labelbox's, or an emulator's.
    pub endpoints: Vec<Url>,
}

/// An address that is not to be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: list its network in media_allow if files may come from there", self.place())]
pub(super) struct Forbidden {
    host: String,
    address: IpAddr,
}

impl Forbidden {
    fn place(&self) -> String {
        let Self { host, address } = self;
        match host.trim_matches(['[', ']']) == address.to_string() {
            true => format!("{address} is no public address"),
            false => format!("{host} is at {address}, which is no public address"),
        }
    }
}

impl Reach {
    /// What the settings say.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let endpoints = config
            .workspaces
            .iter()
            .map(|workspace| &workspace.endpoint);
        Self {
            allowed: config.server.media_allow.clone(),
            endpoints: endpoints.filter_map(|url| Url::parse(url).ok()).collect(),
        }
    }

    /// Whether the operator has named the host and port of this address.
    pub(super) fn names(&self, url: &Url) -> bool {
        let mut endpoints = self.endpoints.iter();
        endpoints.any(|endpoint| endpoint.origin() == url.origin())
    }

    /// Judges an address as far as it can be without asking for its host's.
    pub(super) fn check(&self, url: &Url) -> Result<(), DownloadError> {
        let refused = |text: &str| Err(DownloadError::Refused(text.to_owned()));
        if !matches!(url.scheme(), "http" | "https") {
            return refused("its address is neither http:// nor https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("its address holds a user name or a password");
        }
        let Some(host) = url.host_str() else {
            return refused("its address names no host");
        };
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) if !self.names(url) && !is_reachable(address, &self.allowed) => {
                let host = host.to_owned();
                Err(DownloadError::Refused(
                    Forbidden { host, address }.to_string(),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Finds only addresses that may be called: what it answers is what is connected to, so a name cannot be one thing
/// when it is judged and another one when it is called.
#[derive(Debug)]
pub(super) struct Resolver {
    reach: Current<Reach>,
    /// Hosts of proxies, which may be anywhere.
    proxies: Vec<String>,
}

impl Resolver {
    pub(super) fn new(reach: &Current<Reach>, proxies: Vec<String>) -> Self {
        let reach = reach.clone();
        Self { reach, proxies }
    }

    /// Hosts come here as somebody has written them.
    fn is_proxy(&self, host: &str) -> bool {
        let mut proxies = self.proxies.iter();
        proxies.any(|proxy| proxy.eq_ignore_ascii_case(host))
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let reach = (!self.is_proxy(&host)).then(|| self.reach.get());
        Box::pin(resolve(host, reach))
    }
}

/// What is found of a host, as far as it may be called; all of it where nothing is to be judged.
async fn resolve(
    host: String,
    reach: Option<Arc<Reach>>,
) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
    let may_be_called = |address: IpAddr| {
        let reach = reach.as_ref();
        reach.is_none_or(|reach| is_reachable(address, &reach.allowed))
    };
    // The port is the connector's to set.
    let found: Vec<_> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
    let (good, bad): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|found| may_be_called(found.ip()));
    match (good.is_empty(), bad.first()) {
        (true, Some(first)) => {
            let address = first.ip();
            Err(Forbidden { host, address }.into())
        }
        _ => Ok(Box::new(good.into_iter())),
    }
}
