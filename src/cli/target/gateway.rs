//! Which gateways before the agent service are gone through.

use clap::{Args, ValueEnum};

use crate::steps::arguments::Road;
use crate::target::gateways::Images;

/// Which gateways, and what the real ones are made of.
#[derive(Clone, Debug, Default, Args)]
pub struct GatewayOptions {
    /// The gateways before the agent service that are gone through; nginx and envoy are to be on PATH
    #[arg(long, value_enum, default_value_t)]
    pub gateway: GatewayName,
    /// kind: nginx's image [default: nginx:stable]
    #[arg(long, value_name = "IMAGE")]
    pub nginx_image: Option<String>,
    /// kind: Envoy's image [default: envoyproxy/envoy:v1.35-latest]
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
}

/// Gateways before the agent service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GatewayName {
    /// The one that gauntlet brings along
    #[default]
    Builtin,
    /// nginx with auth_request, instead of it
    Nginx,
    /// Envoy with ext_authz, instead of it
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

    /// Whether a road is gone that leads through a gateway; all others are.
    pub fn has(self, road: Road) -> bool {
        let of = match road {
            Road::Builtin => GatewayName::Builtin,
            Road::Nginx => GatewayName::Nginx,
            Road::Envoy => GatewayName::Envoy,
            _ => return true,
        };
        self == GatewayName::All || self == of
    }
}
