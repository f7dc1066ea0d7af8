//! Who may send requests to the Labelbox listener, and whose word counts for where one came from.

use std::net::IpAddr;

use ipnet::IpNet;

/// The word that stands for Labelbox's own addresses.
const LABELBOX: &str = "labelbox";

/// The addresses that Labelbox calls from (docs: server addresses).
const LABELBOX_ADDRESSES: [&str; 2] = ["35.223.142.181", "34.135.127.45"];

/// `allow` and `trusted_proxies` of `[server]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Who may send; everybody if it is not given.
    pub allow: Option<Vec<IpNet>>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Access {
    /// Whether `sender` may send.
    #[must_use]
    pub fn allows(&self, sender: IpAddr) -> bool {
        self.allow.as_ref().is_none_or(|nets| contain(nets, sender))
    }

    /// Where a request came from that `peer` handed over: `forwarded` are the hops that proxies noted, the first one
    /// first. Each hop is believed as far as those behind it are trusted; a hop that is no address ends the chain.
    #[must_use]
    pub fn sender<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut sender = peer.to_canonical();
        for hop in forwarded.rev() {
            if !contain(&self.trusted_proxies, sender) {
                break;
            }
            match hop_address(hop) {
                Some(address) => sender = address.to_canonical(),
                None => break,
            }
        }
        sender
    }
}

fn contain(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address.to_canonical()))
}

/// An address, with or without a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let with_port = || Some(hop.parse::<std::net::SocketAddr>().ok()?.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    hop.parse().ok().or_else(with_port).or_else(bracketed)
}

/// `"10.0.0.0/8"` or `"192.0.2.7"`. None if it is anything else.
pub(super) fn parse_net(text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(net) => Some(net.trunc()),
        Err(_) => text.parse::<IpAddr>().ok().map(IpNet::from),
    }
}

/// `"10.0.0.0/8"`, `"192.0.2.7"`, or `"labelbox"` for Labelbox's own addresses. None if it is anything else.
pub(super) fn parse_nets(text: &str) -> Option<Vec<IpNet>> {
    match text {
        LABELBOX => LABELBOX_ADDRESSES.into_iter().map(parse_net).collect(),
        text => parse_net(text).map(|net| vec![net]),
    }
}
