//! How to reach a door by a road, on an installation that isn't ours.

use std::fmt;
use std::str::FromStr;

use crate::vocabulary::Road;

/// How a road is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through the API server to a ready pod, as `kubectl port-forward` does.
    PortForward,
    /// Straight to each pod, at the address in the session or the list of pods.
    Pods,
    /// There is no such road.
    None,
    /// To an address.
    To(Address),
}

/// An address of a door: `https://platform.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub tls: bool,
    /// A name, or an IP address; one of version 6 without brackets.
    pub host: String,
    pub port: u16,
}

/// Why a text is no way to a door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("`{0}` isn't an address such as `https://platform.example`, `port-forward` or `none`")]
    Form(String),
    #[error("a user and a password have no place in an address of a door")]
    Credentials,
    #[error("`{0}` has a path; an address of a door has none: paths are names as `api.path`")]
    Path(String),
    #[error("`pods` is only for the road `direct`, which leads to each pod; `{}` has one address", .0.name())]
    Pods(Road),
}

impl FromStr for Way {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Way, AddressError> {
        match text {
            "port-forward" => Ok(Way::PortForward),
            "pods" => Ok(Way::Pods),
            "none" => Ok(Way::None),
            text => text.parse().map(Way::To),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let wrong = || AddressError::Form(text.to_owned());
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::Credentials);
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(AddressError::Path(text.to_owned()));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let behind = authority.as_str().rsplit(']').next().unwrap_or_default();
        let port = match (authority.port_u16(), behind.contains(':')) {
            (Some(0), _) | (None, true) => return Err(wrong()),
            (Some(port), _) => port,
            (None, false) => Address::usual_port(tls),
        };
        match host.is_empty() {
            true => Err(wrong()),
            false => Ok(Address {
                tls,
                host: host.to_owned(),
                port,
            }),
        }
    }
}

impl Address {
    fn usual_port(tls: bool) -> u16 {
        if tls { 443 } else { 80 }
    }

    /// As a `Host` header has it: with the port where it isn't the scheme's own (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == Address::usual_port(self.tls) {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::PortForward => f.write_str("port-forward"),
            Way::Pods => f.write_str("pods"),
            Way::None => f.write_str("none"),
            Way::To(address) => {
                let scheme = if address.tls { "https" } else { "http" };
                write!(f, "{scheme}://{}", address.authority())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_shown() {
        for (written, shown) in [
            ("https://platform.example", "https://platform.example"),
            ("wss://platform.example:443/", "https://platform.example"),
            ("ws://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::1]:81", "http://[::1]:81"),
            ("port-forward", "port-forward"),
            ("pods", "pods"),
            ("none", "none"),
        ] {
            assert_eq!(written.parse::<Way>().map(|way| way.to_string()), Ok(shown.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address() {
        for wrong in [
            "",
            "nowhere",
            "platform.example:80",
            "ftp://a",
            "https://",
            "https://user:password@a",
            "https://a/path",
            "https://a?x=1",
            "https://a:",
            "https://a:0",
            "https://a:70000",
            "https://:80",
        ] {
            assert!(wrong.parse::<Way>().is_err(), "{wrong}");
        }
        let refused = "https://user:hunter2@a".parse::<Way>().expect_err("a password");
        assert_eq!(refused, AddressError::Credentials);
    }
}
