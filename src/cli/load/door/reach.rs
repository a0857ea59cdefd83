//! How a door is reached: its addresses, and what this machine needs for so many connections.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::flags::CaError;
use super::{DoorOptions, NotReady};
use crate::cli::exit::UsageError;
use crate::load::worker::{Named, Tls};
use crate::load::{Place, ResolveError, is_itself, is_private, is_service, public_network};

/// Descriptors that the process itself needs: the engine, the runtime, and inherited ones.
const DESCRIPTORS_ITSELF: u64 = 64;

/// Why this machine can't make a load.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    #[error(transparent)]
    Sources(#[from] SourcesError),
}

/// This machine doesn't let this process have a descriptor for each attach.
#[derive(Debug, thiserror::Error)]
#[error(
    "{attaches} attaches need {needed} descriptors, and this process may have {most}: raise the limit, as with `ulimit \
     -n {needed}`, or hold fewer"
)]
pub struct TooFewDescriptors {
    attaches: u32,
    needed: u64,
    most: u64,
}

/// Why there are no addresses to connect from.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// The command line is wrong.
    #[error("--source {given} and the target are not both of IPv4, or both of IPv6")]
    OtherFamily { given: IpAddr },
    /// The command line is wrong, or meant for another machine.
    #[error("--source {given} isn't an address of this machine: {source}")]
    Elsewhere { given: IpAddr, source: std::io::Error },
    /// This machine's ports.
    #[error(
        "{attaches} attaches to {addresses} addresses need {needed} source addresses with {ports} ports each: give them \
         with --source, or widen net.ipv4.ip_local_port_range"
    )]
    TooFewPorts {
        attaches: u32,
        addresses: usize,
        needed: u64,
        ports: u64,
    },
}

/// Whether this process may have enough descriptors for so many attaches.
///
/// # Errors
/// It may not.
pub(in crate::cli) fn enough_descriptors(attaches: u32, most: Option<u64>) -> Result<(), TooFewDescriptors> {
    let needed = u64::from(attaches) + DESCRIPTORS_ITSELF;
    match most {
        Some(most) if most < needed => Err(TooFewDescriptors { attaches, needed, most }),
        _ => Ok(()),
    }
}

/// The door for those who look it up in a cluster. A Service is the cluster's own; what any other name leads to they
/// find out, and go to no public network.
pub(super) fn named(place: &Place, owned: bool) -> Result<Named, NotReady> {
    let host = &place.host;
    if is_itself(host) {
        let why =
            format!("--url: {host} is each worker's own pod; name the platform's Service, such as web.agents.svc");
        return Err(UsageError(why).into());
    }
    match host.parse::<IpAddr>() {
        Ok(address) if !owned && !is_private(address) => Err(public_network(host, address).into()),
        _ => Ok(Named {
            host: host.clone(),
            port: place.port,
            owned: owned || is_service(host),
        }),
    }
}

pub(in crate::cli::load) async fn resolve(place: &Place, owned: bool) -> Result<Vec<SocketAddr>, ResolveError> {
    crate::load::resolve(&place.host, place.port, owned).await
}

/// Where connections come from, so that there are ports enough for all.
pub(super) fn sources(given: &[IpAddr], attaches: u32, addresses: &[SocketAddr]) -> Result<Vec<IpAddr>, SourcesError> {
    for source in given {
        if addresses.iter().any(|address| address.is_ipv4() != source.is_ipv4()) {
            return Err(SourcesError::OtherFamily { given: *source });
        }
        if let Err(error) = std::net::TcpListener::bind((*source, 0)) {
            return Err(SourcesError::Elsewhere {
                given: *source,
                source: error,
            });
        }
    }
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_whitespace().filter_map(|bound| bound.parse::<u64>().ok());
    let ports = match (bounds.next(), bounds.next()) {
        (Some(first), Some(last)) if last >= first => last - first + 1,
        // Linux's own default.
        _ => 28_232,
    };
    // Some are taken by others, some by connections that have just ended.
    let usable = (ports * 9 / 10).max(1);
    let needed = u64::from(attaches).div_ceil(usable * addresses.len() as u64);
    let loopback = addresses.iter().all(|address| match address.ip() {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(_) => false,
    });
    if given.len().max(1) as u64 >= needed {
        return Ok(given.to_vec());
    }
    if loopback && given.is_empty() {
        // 127.0.0.0/8 is all this machine's.
        let sources = (0..needed).map(|number| Ipv4Addr::from(0x7f00_0001 + number as u32).into());
        return Ok(sources.collect());
    }
    Err(SourcesError::TooFewPorts {
        attaches,
        addresses: addresses.len(),
        needed,
        ports,
    })
}

pub(super) fn tls(options: &DoorOptions, place: &Place) -> Result<Option<Tls>, CaError> {
    if !place.tls {
        return Ok(None);
    }
    Ok(Some(Tls {
        host: place.host.clone(),
        ca: options.authorities()?,
        insecure: options.insecure,
    }))
}
