//! Envoy Gateway as the gateway: objects in the cluster configure its Envoys.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::{Value, json};

use super::AUTHORIZER_TIMEOUT;
use super::envoy::Stripped;
use crate::platform::{Mutant, mutant};
use crate::world::deploy::{DeployError, grouped, objects};

const MANIFEST: &str = include_str!("../../../deploy/envoy-gateway.yaml");

/// The Gateway, and the routes of its paths.
pub const GATEWAY: &str = "agents";
const AGENTS: &str = "agents";
const HEALTH: &str = "health";
const UNGUARDED: &str = "unguarded";

/// What no setting of Envoy Gateway's could do (what it appends, access control's headers aren't), and what none of its
/// objects here sets: how long a stream may be quiet, how long a body may be, and what is logged.
pub const NOT_ITS: &[&Mutant] = &[
    &mutant::ENVOY_USER_HEADERS_APPENDED,
    &mutant::ENVOY_QUIET_CUT,
    &mutant::ENVOY_TOKEN_IN_LOG,
    &mutant::ENVOY_BODY_LIMIT,
];

/// The values of the manifest's variables; its head says what each is.
#[derive(Debug, Serialize)]
struct Told {
    gateway_class: String,
    policy_targets: String,
    policy_open: bool,
    stripped: String,
    upgrades: String,
    unguarded_path: String,
    unguarded_hosts: String,
    authorizer_timeout: &'static str,
    names: Value,
}

/// The objects of a gateway of this class. `asks`: whether it has its policy.
pub fn told(
    class: &str,
    names: &BTreeMap<String, String>,
    mutants: &[&Mutant],
    asks: bool,
) -> Result<Vec<DynamicObject>, DeployError> {
    let has = |mutant: &Mutant| mutants.contains(&mutant);
    let targets: &[&str] = match () {
        () if !asks => &[],
        () if has(&mutant::ENVOY_WRONG_ROUTE) => &[HEALTH],
        () if has(&mutant::ENVOY_HEALTH_ASKED) => &[AGENTS, HEALTH],
        () => &[AGENTS],
    };
    let target = |name| json!({ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name });
    let targets: Vec<Value> = targets.iter().map(target).collect();
    let stripped = match Stripped::of(&has) {
        Stripped::Names(names) => json!({ "remove": names }),
        Stripped::Prefix(prefix) => json!({ "removeOnMatch": [{ "type": "Prefix", "value": prefix }] }),
    };
    let upgrades = match has(&mutant::ENVOY_UPGRADE_LOST) {
        true => json!([{ "type": "spdy/3.1" }]),
        false => json!([{ "type": "websocket" }]),
    };
    let agents = names.get("agents.path").map_or("", String::as_str);
    let unguarded_path = match () {
        () if has(&mutant::ENVOY_CONVERSATIONS_UNGUARDED) => format!("{agents}/[^/]+/react"),
        () if has(&mutant::ENVOY_MODELS_UNGUARDED) => format!("{agents}/models"),
        () if has(&mutant::ENVOY_OTHER_HOST_UNGUARDED) => format!("{agents}.*"),
        () => String::new(),
    };
    let unguarded_hosts = match has(&mutant::ENVOY_OTHER_HOST_UNGUARDED) {
        true => json!(["localhost"]),
        false => json!([]),
    };
    let told = Told {
        gateway_class: class.to_owned(),
        policy_targets: json!(targets).to_string(),
        policy_open: has(&mutant::ENVOY_OPEN_ON_ERROR),
        stripped: stripped.to_string(),
        upgrades: upgrades.to_string(),
        unguarded_path,
        unguarded_hosts: unguarded_hosts.to_string(),
        authorizer_timeout: AUTHORIZER_TIMEOUT,
        names: grouped(names),
    };
    let is_wanted = |object: &DynamicObject| {
        let kind = object.types.as_ref().map(|types| types.kind.as_str());
        match (kind, object.metadata.name.as_deref()) {
            (Some("SecurityPolicy"), _) => !targets.is_empty(),
            (_, Some(UNGUARDED)) => !told.unguarded_path.is_empty(),
            _ => true,
        }
    };
    let mut objects = objects(MANIFEST, &told)?;
    objects.retain(is_wanted);
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::names;

    fn kinds(mutants: &[&Mutant], asks: bool) -> Vec<String> {
        let told = told("eg", &names::contract(), mutants, asks).expect("a manifest");
        let kind = |object: &DynamicObject| {
            let name = object.metadata.name.clone().unwrap_or_default();
            format!("{} {name}", object.types.as_ref().expect("its kind").kind)
        };
        told.iter().map(kind).collect()
    }

    #[test]
    fn what_a_gateway_is_told_by() {
        let whole = [
            "EnvoyProxy agents",
            "Gateway agents",
            "ClientTrafficPolicy agents",
            "HTTPRoute agents",
            "HTTPRoute health",
            "BackendTrafficPolicy agents",
            "SecurityPolicy agents",
        ];
        assert_eq!(kinds(&[], true), whole);
        assert_eq!(kinds(&[], false), whole[..6]);
        for mutant in [
            &mutant::ENVOY_CONVERSATIONS_UNGUARDED,
            &mutant::ENVOY_MODELS_UNGUARDED,
            &mutant::ENVOY_OTHER_HOST_UNGUARDED,
        ] {
            assert!(
                kinds(&[mutant], true).contains(&"HTTPRoute unguarded".to_owned()),
                "{}",
                mutant.name
            );
        }
    }

    #[test]
    fn what_is_taken_out_of_requests() {
        let stripped = |mutants: &[&Mutant]| {
            let told = told("eg", &names::contract(), mutants, true).expect("a manifest");
            let is_policy = |object: &&DynamicObject| {
                object
                    .types
                    .as_ref()
                    .is_some_and(|types| types.kind == "ClientTrafficPolicy")
            };
            let policy = told.iter().find(is_policy).expect("a policy of clients");
            policy.data["spec"]["headers"]["earlyRequestHeaders"].clone()
        };
        let all = json!({ "removeOnMatch": [{ "type": "Prefix", "value": "x-user-" }] });
        assert_eq!(stripped(&[]), all);
        let three = json!({ "remove": ["x-user-id", "x-user-name", "x-user-email"] });
        assert_eq!(stripped(&[&mutant::ENVOY_USER_ROLE_KEPT]), three);
    }
}
