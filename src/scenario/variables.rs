//! Variables available in every scenario.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::template::Scope;
use crate::vocabulary::{Policies, names};

/// The variables that every scenario has, by name.
///
/// `secret.token` is the token that the platform's secret has or is to get, `secret.name` and
/// `secret.key` say where; `master-key` is the session API's key, or that of LiteLLM behind the agent
/// service, or that has the codex login; `agent-key` is what a codex agent calls it with; `jwt-secret` is what JWTs
/// are signed with; `names` has every name of the installation, as `names.web.deployment`; `policies` has lengths of
/// time and patterns that are declared, as `policies.rotation.interval`; `routes` is the list of guarded routes that the
/// profile names.
pub fn built_in(
    names: &BTreeMap<String, String>,
    policies: &Policies,
    routes: &[String],
    token: &str,
    master_key: &str,
    jwt_secret: &str,
) -> [(&'static str, Value); 7] {
    let name = |of: &str| names.get(of).cloned().unwrap_or_default();
    let secret = json!({ "name": name("secret.name"), "key": name("secret.key"), "token": token });
    let mut groups = Map::new();
    for (path, value) in names {
        if let Some((group, leaf)) = path.split_once('.') {
            let group = groups.entry(group).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(group) = group {
                group.insert(leaf.to_owned(), Value::String(value.clone()));
            }
        }
    }
    [
        ("secret", secret),
        ("master-key", Value::String(master_key.to_owned())),
        ("agent-key", Value::String(token.to_owned())),
        ("jwt-secret", Value::String(jwt_secret.to_owned())),
        ("names", Value::Object(groups)),
        ("policies", policies.in_templates()),
        ("routes", json!(routes)),
    ]
}

/// Sets the variables that every scenario has.
pub fn set_built_in(
    scope: &mut Scope,
    names: &BTreeMap<String, String>,
    policies: &Policies,
    routes: &[String],
    token: &str,
    master_key: &str,
    jwt_secret: &str,
) {
    for (name, value) in built_in(names, policies, routes, token, master_key, jwt_secret) {
        scope.set(name, value);
    }
}

/// The variables with the contract's names and the reference's policies: which there are is what matters.
pub(super) fn example() -> Value {
    let variables = built_in(&names::contract(), &Policies::reference(), &[], "", "", "");
    Value::Object(
        variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}
