//! Loopback addresses for pods.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

/// The port whose UDP side says that an address is taken; that of the real kubelet,
/// which a component won't use.
const PORT: u16 = 10250;

/// How many random addresses are tried. There are 16 million: more failures than that
/// mean that the machine has no loopback network of this size.
const ATTEMPTS: usize = 64;

/// A loopback address that no other pod on this machine has, of whatever process.
pub struct Address {
    pub ip: Ipv4Addr,
    /// Holds the reservation while the pod is there; none if somebody else holds it.
    _reservation: Option<UdpSocket>,
}

/// The annotation of a pod that is to have an address that somebody else has reserved.
pub const FIXED: &str = "gauntlet/address";

impl Address {
    /// # Errors
    /// If no address could be bound.
    pub fn reserve() -> io::Result<Address> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let [_, a, b, c] = rand::random::<u32>().to_be_bytes();
            // 127.0.x.y is left to the machine: localhost and local resolvers.
            let ip = Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254));
            match UdpSocket::bind((ip, PORT)) {
                Ok(reservation) => {
                    return Ok(Address {
                        ip,
                        _reservation: Some(reservation),
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no address was tried")))
    }

    /// One that somebody else has reserved, and holds as long as this is there.
    pub fn held(ip: Ipv4Addr) -> Address {
        Address { ip, _reservation: None }
    }
}
