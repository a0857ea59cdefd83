//! The values of the manifests' variables.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Serialize;
use serde_json::{Value, json};

use super::grouped;
use crate::platform::{Mutant, mutant};
use crate::vocabulary::Road;
use crate::vocabulary::duration;
use crate::vocabulary::{AgentState, AuthorizerState, TerminalSpec, WorldSpec};
use crate::world::certificate::Certificate;
use crate::world::codex::Codex;
use crate::world::gateways::GatewayPod;

/// How long a codex account is used, how often logins and signals are polled, and how long an account is parked after a
/// transient 429, by default.
const ROTATION_INTERVAL: &str = "1s";
const ROTATION_POLL: &str = "100ms";
const PARK_TRANSIENT: &str = "5m";

/// The values of a manifest's variables; the manifest's head says what each is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Values {
    pub image: String,
    pub secret: String,
    pub token_key: String,
    pub master_key_key: String,
    pub web_replicas: u32,
    pub warm_pool: u32,
    pub terminal: String,
    pub terminal_kind: String,
    pub mutants: String,
    pub header_timeout: String,
    pub drain_timeout: String,
    pub balancer_replicas: u32,
    pub strip_authorization: bool,
    pub idle_timeout: String,
    pub balancer_targets: String,
    pub tls_cert: String,
    pub tls_key: String,
    pub probe_replicas: u32,
    pub controller_replicas: u32,
    pub seed: String,
    pub clock: String,
    pub service_address: String,
    pub authorizer_address: String,
    pub authorizer_replicas: u32,
    pub authorizer_fault: String,
    pub authorizer_timeout: String,
    pub litellm_replicas: u32,
    pub gateway_targets: String,
    pub gateway_policy: bool,
    pub gateway_peers: String,
    pub nginx_replicas: u32,
    pub nginx_image: String,
    pub nginx_configuration: String,
    pub envoy_replicas: u32,
    pub envoy_image: String,
    pub envoy_configuration: String,
    pub rotation_interval: String,
    pub rotation_poll: String,
    pub park_transient: String,
    pub agent_replicas: u32,
    pub gauntlet: String,
    pub vendor_host: String,
    pub vendor_address: String,
    pub litellm_host: String,
    pub litellm_address: String,
    pub persistence: bool,
    pub codex_program: String,
    pub codex_path: String,
    pub poll_interval: String,
    /// As [`grouped`] gives them.
    pub names: Value,
}

impl Values {
    /// The values for a platform as in `spec`, with the installation's names.
    pub fn new(
        image: &str,
        spec: &WorldSpec,
        names: &BTreeMap<String, String>,
        mutants: &[&Mutant],
        certificate: Option<&Certificate>,
    ) -> Values {
        let name = |of: &str| names.get(of).cloned().unwrap_or_default();
        let balancer = spec.balancer.as_ref();
        let grouped = grouped(names);
        let targets = json!([
            { "path_prefix": "/", "selector": grouped["web"]["selector"], "port": name("web.port").parse().unwrap_or(0u16) },
            { "path_prefix": name("probe.path"), "selector": grouped["probe"]["selector"], "port": 8081 },
        ]);
        let gateway_targets = json!([
            {
                "path_prefix": format!("{}/", name("access-control.path")),
                "selector": grouped["access-control"]["selector"],
                "port": name("access-control.port").parse().unwrap_or(0u16),
            },
            {
                "path_prefix": "/",
                "selector": grouped["agent-service"]["selector"],
                "port": name("agent-service.port").parse().unwrap_or(0u16),
            },
        ]);
        let (terminal, terminal_kind) = match &spec.terminal {
            Some(TerminalSpec::Program(command)) => (json!(command).to_string(), String::new()),
            Some(TerminalSpec::Named(kind)) => (String::new(), kind.name().to_owned()),
            None => (String::new(), String::new()),
        };
        Values {
            image: image.into(),
            secret: name("secret.name"),
            token_key: name("secret.key"),
            master_key_key: name("secret.master-key"),
            web_replicas: spec.web_replicas,
            warm_pool: spec.warm_pool,
            terminal,
            terminal_kind,
            mutants: mutant::names(mutants),
            header_timeout: "1s".into(),
            drain_timeout: "60s".into(),
            balancer_replicas: balancer.is_some().into(),
            strip_authorization: balancer.is_none_or(|balancer| balancer.strips_authorization.unwrap_or(true)),
            idle_timeout: balancer
                .and_then(|balancer| balancer.idle_timeout.clone())
                .unwrap_or_else(|| "60s".into()),
            balancer_targets: targets.to_string(),
            tls_cert: certificate.map(|c| c.certificate.clone()).unwrap_or_default(),
            tls_key: certificate.map(|c| c.key.clone()).unwrap_or_default(),
            probe_replicas: balancer.is_some_and(|balancer| balancer.probe).into(),
            controller_replicas: 1,
            seed: "seed".into(),
            clock: spec.clock.map(|clock| clock.to_string()).unwrap_or_default(),
            authorizer_replicas: (spec.authorizer != AuthorizerState::Gone).into(),
            authorizer_fault: spec.authorizer.fault().to_owned(),
            authorizer_timeout: "1s".into(),
            litellm_replicas: spec.litellm.into(),
            gateway_targets: gateway_targets.to_string(),
            gateway_policy: spec.gateway_policy,
            rotation_interval: seconds(spec.rotation_interval.as_deref(), ROTATION_INTERVAL),
            rotation_poll: seconds(spec.rotation_poll.as_deref(), ROTATION_POLL),
            park_transient: seconds(spec.park_transient.as_deref(), PARK_TRANSIENT),
            agent_replicas: (spec.agent != AgentState::None).into(),
            vendor_host: "vendor".into(),
            litellm_host: name("litellm.deployment"),
            persistence: spec.persistence,
            names: grouped,
            ..Values::default()
        }
    }

    /// The same with a vendor, and a LiteLLM where one is said, at addresses of this machine.
    pub fn at(self, vendor: Ipv4Addr, litellm: Option<Ipv4Addr>) -> Values {
        let litellm = litellm.map(|address| address.to_string());
        Values {
            vendor_host: vendor.to_string(),
            vendor_address: vendor.to_string(),
            litellm_host: litellm.clone().unwrap_or(self.litellm_host),
            litellm_address: litellm.unwrap_or_default(),
            ..self
        }
    }

    /// The same with containers that run this codex.
    pub fn with_codex(self, codex: &Codex) -> Values {
        Values {
            codex_program: codex.program(),
            codex_path: codex.path(),
            poll_interval: codex.poll_interval().into(),
            ..self
        }
    }

    /// The same with these real gateways as pods.
    pub fn with_gateways(self, pods: &[GatewayPod]) -> Values {
        let of = |road: Road| pods.iter().find(|pod| pod.road == road).cloned();
        let replicas = |pod: &Option<GatewayPod>| u32::from(pod.is_some());
        let (nginx, envoy) = (of(Road::Nginx), of(Road::Envoy));
        let (nginx_replicas, envoy_replicas) = (replicas(&nginx), replicas(&envoy));
        let port = |of: &str| self.names[of]["port"].as_str().unwrap_or_default().to_owned();
        let mut peers = vec![format!("agent-service:{}", port("agent-service"))];
        if self.authorizer_replicas > 0 {
            peers.push(format!("access-control:{}", port("access-control")));
        }
        let parts = |pod: Option<GatewayPod>| pod.map(|pod| (pod.image, pod.configuration)).unwrap_or_default();
        let (nginx_image, nginx_configuration) = parts(nginx);
        let (envoy_image, envoy_configuration) = parts(envoy);
        Values {
            nginx_replicas,
            nginx_image,
            nginx_configuration,
            envoy_replicas,
            envoy_image,
            envoy_configuration,
            gateway_peers: peers.join(","),
            ..self
        }
    }
}

/// A length of time as a decimal number of seconds.
fn seconds(said: Option<&str>, usual: &str) -> String {
    let of = |text| duration::parse(text).map(|time| time.as_secs_f64().to_string());
    said.and_then(of).or_else(|| of(usual)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_in_seconds() {
        assert_eq!(seconds(None, "1s"), "1");
        assert_eq!(seconds(Some("2ms"), "1s"), "0.002");
        assert_eq!(seconds(Some("soon"), "100ms"), "0.1");
    }
}
