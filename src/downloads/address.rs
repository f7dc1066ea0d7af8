//! Which addresses are public: the only ones that a stranger's file may lie at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of IPv4 that are not public (IANA: special-purpose address registry).
const NOT_PUBLIC: [Ipv4Net; 14] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    // Multicast and all that is reserved, broadcast included.
    v4([224, 0, 0, 0], 3),
];

/// The only network of IPv6 from which public addresses are given out…
const GLOBAL: Ipv6Net = v6([0x2000, 0, 0], 3);

/// …but for these: protocols' own (Teredo among them), documentation, 6to4, documentation again.
const NOT_GLOBAL: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0], 23),
    v6([0x2001, 0xdb8, 0], 32),
    v6([0x2002, 0, 0], 16),
    v6([0x3fff, 0, 0], 20),
];

/// Addresses that a translator turns into the IPv4 address within them (RFC 6052).
const TRANSLATED: Ipv6Net = v6([0x64, 0xff9b, 0], 96);

/// Whether anybody on the internet could have this address, or it lies in one of `allowed`. An IPv4 address in the
/// form of an IPv6 one counts as what it stands for.
pub(super) fn is_reachable(address: IpAddr, allowed: &[IpNet]) -> bool {
    let address = embedded(address);
    is_public(address) || allowed.iter().any(|net| net.contains(&address))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC.iter().any(|net| net.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL.contains(&address) && !NOT_GLOBAL.iter().any(|net| net.contains(&address))
        }
    }
}

fn embedded(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if TRANSLATED.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            IpAddr::from([a, b, c, d])
        }
        other => other,
    }
}

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c]: [u16; 3], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}
