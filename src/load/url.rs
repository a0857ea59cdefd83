//! A terminal's address as a user gives it: `ws://127.0.0.1:4096/tty`.

use std::net::{IpAddr, SocketAddr};

use http::Uri;

/// Where a terminal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub tls: bool,
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    /// As the `Host` field has it.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

/// Why a text is no URL of a terminal.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("a WebSocket URL has no fragment")]
    Fragment,
    #[error("not a URL: {0}")]
    NoUrl(#[from] http::uri::InvalidUri),
    #[error("not a URL with ws:// or wss://")]
    Scheme,
    #[error("a URL without a host")]
    NoHost,
    #[error("a URL with a port that isn't a number up to 65535")]
    Port,
    #[error("a URL with credentials: the token goes into a variable, named by --token-env")]
    Credentials,
    #[error(
        "a URL with a token: it would stand in the shell's history and the process list; put it into a variable, \
         named by --token-env"
    )]
    Token,
}

/// Why a host is none that a load goes to.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("resolving {host}: {source}")]
    Asking { host: String, source: std::io::Error },
    #[error("resolving {host}: there is no address")]
    NoAddress { host: String },
    #[error(
        "{host} is on a public network ({address}): a load there can do harm to others; where it is yours to load, say \
         so by --i-own-this-target"
    )]
    Public { host: String, address: IpAddr },
}

impl Place {
    /// # Errors
    /// Why a text isn't a terminal's URL.
    pub fn parse(text: &str) -> Result<Place, PlaceError> {
        // A fragment never goes onto the wire (RFC 6455 §3).
        if text.contains('#') {
            return Err(PlaceError::Fragment);
        }
        let uri: Uri = text.parse()?;
        let tls = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(PlaceError::Scheme),
        };
        let authority = uri.authority().ok_or(PlaceError::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(PlaceError::Credentials);
        }
        let query = uri.query().unwrap_or_default();
        let is_token = |name: &str| percent_encoding::percent_decode_str(name).eq(*b"token");
        if query.split('&').filter_map(|pair| pair.split('=').next()).any(is_token) {
            return Err(PlaceError::Token);
        }
        // Behind a colon there may be nothing (RFC 3986 §3.2.3).
        let behind = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port = match behind.trim_start_matches(':') {
            "" if tls => 443,
            "" => 80,
            _ => authority.port_u16().ok_or(PlaceError::Port)?,
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Place {
            tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port,
            authority: authority.as_str().to_owned(),
            target: target.to_owned(),
        })
    }
}

/// Names of parameters and header fields whose values are secrets, or may be.
const SECRET: [&str; 8] = ["auth", "cookie", "key", "pass", "secret", "session", "sig", "token"];

/// Whether the value of a parameter or header field of this name may be a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|part| name.contains(part))
}

impl Place {
    /// Values of the query that may be secrets, with their names.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(name, _)| is_secret(name))
    }
}

/// Whether an address is of this machine or of a network that isn't the public one (RFC 1918, RFC 4193, RFC 3927,
/// RFC 4291 §2.5.6, RFC 6598). For the unspecified address Linux connects to this machine.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private(v4.into()),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
        },
    }
}

/// Whether a host, seen from a pod, is a Service of the pod's cluster: `web`, `web.agents.svc`,
/// `web.agents.svc.cluster.local`. What such a name leads to is the cluster's own, whatever its addresses.
pub fn is_service(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && !label.is_empty() && label.len() <= 63
    };
    let labels: Vec<&str> = host.split('.').collect();
    if host.parse::<IpAddr>().is_ok() || is_itself(&host) || !labels.iter().all(|part| label(part)) {
        return false;
    }
    match labels[..] {
        // A number, as 0x7f000001, is an address to some resolvers; a Service begins with a letter.
        [name] => name.starts_with(|first: char| first.is_ascii_alphabetic()),
        [_, _, "svc"] | [_, _, "svc", "cluster", "local"] => true,
        // A pod of a headless Service.
        [_, _, _, "svc"] | [_, _, _, "svc", "cluster", "local"] => true,
        _ => false,
    }
}

/// Whether a host is the machine itself that goes there; for a pod, the pod.
pub fn is_itself(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback() || address.is_unspecified();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_loopback)
}

/// The addresses of a host, as this machine finds them.
///
/// # Errors
/// There are no addresses, or one is on a public network without `--i-own-this-target`.
pub async fn resolve(host: &str, port: u16, owned: bool) -> Result<Vec<SocketAddr>, ResolveError> {
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|source| ResolveError::Asking {
            host: host.to_owned(),
            source,
        })?;
    permitted(host, found.collect(), owned)
}

/// A host's addresses, where a load may go there.
///
/// # Errors
/// There are none, or one is on a public network without `--i-own-this-target`.
pub fn permitted(host: &str, addresses: Vec<SocketAddr>, owned: bool) -> Result<Vec<SocketAddr>, ResolveError> {
    if addresses.is_empty() {
        let host = host.to_owned();
        return Err(ResolveError::NoAddress { host });
    }
    match addresses.iter().find(|address| !is_private(address.ip())) {
        Some(public) if !owned => Err(public_network(host, public.ip())),
        _ => Ok(addresses),
    }
}

/// Why no load goes to an address of the public network.
pub fn public_network(host: &str, address: IpAddr) -> ResolveError {
    ResolveError::Public {
        host: host.to_owned(),
        address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_all_its_parts() {
        let place = Place::parse("wss://[::1]/x/tty?a=1").expect("a place");
        assert_eq!((place.tls, place.host.as_str(), place.port), (true, "::1", 443));
        assert_eq!(
            (place.authority.as_str(), place.target.as_str()),
            ("[::1]", "/x/tty?a=1")
        );
        let place = Place::parse("ws://door.example:8080").expect("a place");
        assert_eq!((place.port, place.target.as_str()), (8080, "/"));
        let place = Place::parse("wss://door.example:/tty").expect("a place");
        assert_eq!((place.port, place.host.as_str()), (443, "door.example"));
    }

    #[test]
    fn what_is_no_place_says_why() {
        for (wrong, why) in [
            ("/tty", "not a URL with ws://"),
            ("ftp://a/tty", "not a URL with ws://"),
            ("ws://a:b@c/tty", "a URL with credentials"),
            ("ws://a/tty?x=1&token=secret", "a URL with a token"),
            ("ws://a/tty?%74oken=secret", "a URL with a token"),
            ("ws://a/tty#top", "a WebSocket URL has no fragment"),
            ("ws:// a/", "not a URL: "),
            ("ws://127.0.0.1:99999/tty", "a URL with a port that isn't a number"),
            ("http://[::1]:65536", "a URL with a port that isn't a number"),
        ] {
            let said = Place::parse(wrong).expect_err(wrong).to_string();
            assert!(said.starts_with(why), "{wrong}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn services_of_a_cluster_are_known_by_their_names() {
        for service in [
            "web",
            "litellm-web",
            "web.agents.svc",
            "web.agents.svc.",
            "Web.Agents.SVC.cluster.local",
            "db-0.db.agents.svc",
        ] {
            assert!(is_service(service), "{service}");
        }
        for other in [
            "web.agents",
            "agents.example",
            "svc.example.com",
            "web.agents.svc.example.com",
            "web..svc",
            "localhost",
            "127.0.0.1",
            "::1",
            "3232235777",
            "0x08080808",
            "",
        ] {
            assert!(!is_service(other), "{other}");
        }
    }

    #[test]
    fn a_pod_is_no_target_of_its_own() {
        for itself in ["localhost", "LOCALHOST.", "a.localhost", "127.3.2.1", "::1", "0.0.0.0"] {
            assert!(is_itself(itself), "{itself}");
        }
        for other in ["web", "10.0.0.1", "localhost.example"] {
            assert!(!is_itself(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_public_address_wants_an_owner() {
        // TEST-NET-1 (RFC 5737): nothing is sent there.
        let said = resolve("192.0.2.1", 80, false).await.expect_err("public").to_string();
        assert!(
            said.starts_with("192.0.2.1 is on a public network (192.0.2.1): "),
            "{said}"
        );
        assert!(resolve("192.0.2.1", 80, true).await.is_ok());
        assert!(resolve("10.0.0.1", 80, false).await.is_ok());
    }

    #[test]
    fn the_public_network_is_told_apart() {
        for private in [
            "127.3.2.1",
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "0.0.0.0",
            "::",
        ] {
            assert!(is_private(private.parse().expect("an address")), "{private}");
        }
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "0.0.0.1",
        ] {
            assert!(!is_private(public.parse().expect("an address")), "{public}");
        }
    }
}
