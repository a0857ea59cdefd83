//! Which gateways before the agent service are tested.

use std::collections::BTreeSet;
use std::fmt;

use clap::{Args, ValueEnum};

use super::only_for;
use crate::cli::TargetName;
use crate::cli::exit::UsageError;
use crate::profile::Profile;
use crate::profile::route_address::Way;
use crate::vocabulary::Road;
use crate::world::gateways::{Images, Place};

/// Which gateways to test, and the images of the real ones.
#[derive(Clone, Debug, Default, Args)]
pub struct GatewayOptions {
    /// The gateways before the agent service to test [default: builtin; cluster, url: those in the profile's roads].
    /// Embedded, nginx and envoy must be on PATH, or images
    #[arg(long, value_enum)]
    pub gateway: Option<GatewayName>,
    /// embedded: how nginx and Envoy run [default: process]
    #[arg(long, value_enum, value_name = "HOW")]
    pub gateway_in: Option<GatewayIn>,
    /// kind, and with --gateway-in container: nginx's image [default: nginx:stable]
    #[arg(long, value_name = "IMAGE")]
    pub nginx_image: Option<String>,
    /// kind, and with --gateway-in container: Envoy's image [default: envoyproxy/envoy:v1.35-latest]
    #[arg(long, value_name = "IMAGE")]
    pub envoy_image: Option<String>,
}

impl GatewayOptions {
    pub fn images(&self) -> Images {
        Images {
            nginx: self.nginx_image.clone(),
            envoy: self.envoy_image.clone(),
        }
    }

    /// How nginx and Envoy run beside the embedded target.
    pub fn place(&self) -> Place {
        match self.gateway_in {
            Some(GatewayIn::Container) => Place::Container(self.images()),
            Some(GatewayIn::Process) | None => Place::Process,
        }
    }

    /// Rejects flags that mean nothing on a target.
    pub fn check(&self, target: TargetName) -> Result<(), UsageError> {
        let is_embedded = target == TargetName::Embedded;
        let has_images = target == TargetName::Kind || self.gateway_in == Some(GatewayIn::Container);
        let of = [
            ("--gateway-in", "embedded", self.gateway_in.is_some() && !is_embedded),
            ("--nginx-image", "kind", self.nginx_image.is_some() && !has_images),
            ("--envoy-image", "kind", self.envoy_image.is_some() && !has_images),
        ];
        match of.into_iter().find(|(_, _, is_wrong)| *is_wrong) {
            Some((flag, its, _)) => Err(only_for(flag, its, target.name())),
            None => Ok(()),
        }
    }

    /// The gateways that a run tests.
    pub fn goes(&self, target: TargetName, profile: &Profile) -> Goes {
        if let Some(name) = self.gateway {
            return Goes::Named(name);
        }
        let there = |road: &Road| profile.roads.get(road).is_some_and(|way| *way != Way::None);
        let of_profile: BTreeSet<Road> = GATEWAYS.into_iter().filter(there).collect();
        match target {
            TargetName::Cluster | TargetName::Url if !of_profile.is_empty() => Goes::OfProfile(of_profile),
            _ => Goes::Named(GatewayName::default()),
        }
    }
}

/// How nginx and Envoy run beside the embedded target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GatewayIn {
    /// As programs on PATH
    Process,
    /// As containers of this machine's engine, on its network
    Container,
}

impl GatewayIn {
    pub fn name(self) -> &'static str {
        match self {
            GatewayIn::Process => "process",
            GatewayIn::Container => "container",
        }
    }
}

/// The roads that lead through a gateway.
pub const GATEWAYS: [Road; 3] = [Road::Builtin, Road::Nginx, Road::Envoy];

/// The gateways that a run tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goes {
    Named(GatewayName),
    /// On a platform that isn't ours: those with a road in its profile.
    OfProfile(BTreeSet<Road>),
}

impl Goes {
    /// Whether a road through a gateway is tested; all other roads are.
    pub fn has(&self, road: Road) -> bool {
        match self {
            _ if !GATEWAYS.contains(&road) => true,
            Goes::Named(name) => name.has(road),
            Goes::OfProfile(roads) => roads.contains(&road),
        }
    }
}

impl fmt::Display for Goes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goes::Named(name) => write!(f, "--gateway {}", name.name()),
            Goes::OfProfile(roads) => {
                let roads: Vec<&str> = roads.iter().map(|road| road.name()).collect();
                write!(f, "the profile ({})", roads.join(", "))
            }
        }
    }
}

/// Gateways before the agent service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GatewayName {
    /// gauntlet's own gateway
    #[default]
    Builtin,
    /// nginx with auth_request instead
    Nginx,
    /// Envoy with ext_authz instead
    Envoy,
    /// All three
    All,
}

impl GatewayName {
    pub fn name(self) -> &'static str {
        match self {
            GatewayName::Builtin => "builtin",
            GatewayName::Nginx => "nginx",
            GatewayName::Envoy => "envoy",
            GatewayName::All => "all",
        }
    }

    fn has(self, road: Road) -> bool {
        let of = match road {
            Road::Builtin => GatewayName::Builtin,
            Road::Nginx => GatewayName::Nginx,
            Road::Envoy => GatewayName::Envoy,
            _ => return true,
        };
        self == GatewayName::All || self == of
    }
}
