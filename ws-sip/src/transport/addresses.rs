use core::net::IpAddr;
use std::collections::HashMap;

/// How many connections there are from each address.
#[derive(Debug, Default)]
pub(super) struct Addresses(HashMap<IpAddr, usize>);

impl Addresses {
    /// Counts a connection; returns how many there are now.
    pub(super) fn add(&mut self, address: IpAddr) -> usize {
        let count = self.0.entry(network(address)).or_default();
        *count += 1;
        *count
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        if let Some(count) = self.0.get_mut(&network(address)) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&network(address));
            }
        }
        if self.0.is_empty() {
            self.0 = HashMap::new();
        }
    }
}

/// A host has one IPv4 address, and of IPv6 a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_counted_by_its_network() {
        let mut addresses = Addresses::default();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(addresses.add(ip("2001:db8::1")), 1);
        assert_eq!(addresses.add(ip("2001:db8::ffff:1:2:3")), 2);
        assert_eq!(addresses.add(ip("2001:db8:0:1::1")), 1);
        assert_eq!(addresses.add(ip("192.0.2.1")), 1);
        assert_eq!(addresses.add(ip("::ffff:192.0.2.1")), 2);
        assert_eq!(addresses.add(ip("192.0.2.2")), 1);
        addresses.remove(ip("2001:db8::2"));
        assert_eq!(addresses.add(ip("2001:db8::3")), 2);
        for (address, times) in [("2001:db8::", 2), ("2001:db8:0:1::", 1), ("192.0.2.1", 2), ("192.0.2.2", 1)]
        {
            (0..times).for_each(|_| addresses.remove(ip(address)));
        }
        assert!(addresses.0.is_empty());
    }
}
