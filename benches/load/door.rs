//! What the benches of the load engine are held against: a sandbox that sends back what it gets, and a load at it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gauntlet::load::schedule::Arrivals;
use gauntlet::load::{Door, Model, Plan, Resolution, Target};

pub const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The sandbox's environment, as a process and in this one.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("PORT", "0"),
    ("GAUNTLET_LISTEN", "127.0.0.1"),
    ("TERMINAL", "loop"),
    ("ACCESS_LOG", "off"),
    ("HARNESS_AUTH_TOKEN", TOKEN),
];

/// Where the sandbox listens, from its first line.
pub fn address(line: &str) -> Option<SocketAddr> {
    let (_, port) = line.trim_end().rsplit_once(" on port ")?;
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)))
}

/// A load that only opens, types and closes: so many attaches a second, and none that has to be refused.
pub fn plan(address: SocketAddr, attaches: u32, rate: f64, echo_every: Duration, hold: Duration) -> Plan {
    let target = Target {
        path: "/tty",
        parameter: "token",
        right: TOKEN,
        wrong: "wrong",
        old: None,
    };
    Plan {
        addresses: vec![address],
        resolution: Resolution::Nothing,
        sources: Vec::new(),
        tls: None,
        doors: vec![Door::new(&address.to_string(), &target, &[])],
        attaches,
        model: Model::Open,
        arrivals: Arrivals::Constant(rate),
        hold,
        echo_every: Some(echo_every),
        fan_out: false,
        probe_every: None,
        deadline: Duration::from_secs(30),
        first_tag: 0,
        seed: 1,
        turn: 0,
        workers: 1,
    }
}
