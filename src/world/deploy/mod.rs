//! The reference platform's manifests: filled in and sent to a cluster.

mod values;

use std::collections::BTreeMap;

use kube::api::{Api, DynamicObject, PostParams, TypeMeta};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::kube_error::kube_error;
use crate::template::{Scope, TemplateError, render_string};
use crate::vocabulary::Contract;

pub use crate::vocabulary::selector::{labels, selector};
pub use values::Values;

/// The platform of contract 1.
const HARNESS_TOKEN: &str = include_str!("../../../deploy/harness-token.yaml");
/// The platform of contract 3.
const AGENT_SERVICE: &str = include_str!("../../../deploy/agent-service.yaml");
/// Real gateways before the agent service.
pub const GATEWAYS: &str = include_str!("../../../deploy/gateways.yaml");
/// The deploy pipeline's step.
pub const SEED: &str = include_str!("../../../deploy/seed.yaml");

/// The manifest of a contract's platform.
pub fn platform(contract: Contract) -> &'static str {
    match contract {
        Contract::HarnessToken => HARNESS_TOKEN,
        Contract::AgentService => AGENT_SERVICE,
    }
}

/// Why a manifest could not be brought to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("filling in the platform's manifest: {0}")]
    Template(#[from] TemplateError),
    #[error("reading the platform's manifest as filled in: {0}")]
    Yaml(String),
    #[error("creating {kind} {name}: {}", kube_error(source.as_ref()))]
    Create {
        kind: String,
        name: String,
        source: Box<kube::Error>,
    },
}

/// The names of an installation as manifests use them: `names.web.deployment`, and beside each
/// selector its labels: `names.web.labels`.
pub fn grouped(names: &BTreeMap<String, String>) -> Value {
    let mut groups: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (path, value) in names {
        let Some((group, leaf)) = path.split_once('.') else {
            continue;
        };
        let group = groups.entry(group).or_default();
        group.insert(leaf.to_owned(), json!(value));
        if let (true, Some(labels)) = (leaf == "selector", labels(value)) {
            group.insert(leaf.to_owned(), json!(selector(&labels)));
            group.insert("labels".to_owned(), json!(labels));
        }
    }
    json!(groups)
}

/// A manifest's objects, its variables filled in. Objects that would do nothing
/// (deployments of no replicas) are left out.
pub fn objects(manifest: &str, values: &impl Serialize) -> Result<Vec<DynamicObject>, DeployError> {
    let mut scope = Scope::new(0);
    if let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(values) {
        for (name, value) in fields {
            scope.set(&name, value);
        }
    }
    let text = render_string(manifest, &scope)?;
    let objects: Vec<DynamicObject> =
        serde_saphyr::from_multiple(&text).map_err(|error| DeployError::Yaml(error.to_string()))?;
    Ok(objects
        .into_iter()
        .filter(|object| object.data.pointer("/spec/replicas") != Some(&0.into()))
        .collect())
}

/// Creates objects in a namespace, in their order. Kinds that `serves` refuses are passed over.
pub async fn create(
    client: &kube::Client,
    namespace: &str,
    objects: Vec<DynamicObject>,
    serves: impl Fn(&str) -> bool,
) -> Result<(), DeployError> {
    for object in objects {
        let types = object.types.clone().unwrap_or_else(|| TypeMeta {
            api_version: String::new(),
            kind: String::new(),
        });
        if !serves(&types.kind) {
            continue;
        }
        let name = object.metadata.name.clone().unwrap_or_default();
        let failed = |source: kube::Error| DeployError::Create {
            kind: types.kind.clone(),
            name: name.clone(),
            source: Box::new(source),
        };
        let kind = GroupVersionKind::try_from(&types)
            .map_err(|error| DeployError::Yaml(format!("{name}: its apiVersion {:?}: {error}", types.api_version)))?;
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind));
        api.create(&PostParams::default(), &object).await.map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kubelet would put in place of `$(…)` and `$$` stays as it was written.
    #[test]
    fn a_terminal_command_is_taken_literally() {
        let values = Values {
            web_replicas: 1,
            controller_replicas: 1,
            terminal: r#"["/bin/sh","-c","echo $$ $(id)"]"#.into(),
            names: grouped(&crate::vocabulary::names::contract()),
            ..Values::default()
        };
        let objects = objects(HARNESS_TOKEN, &values).expect("a manifest");
        let commands: Vec<&str> = objects
            .iter()
            .filter_map(|object| object.data.pointer("/spec/template/spec/containers/0/env")?.as_array())
            .flatten()
            .filter(|variable| variable["name"] == "TERMINAL_COMMAND")
            .filter_map(|variable| variable["value"].as_str())
            .collect();
        assert_eq!(commands, [r#"["/bin/sh","-c","echo $$$$ $$(id)"]"#; 2]);
    }

    /// Web and worker both make sandboxes.
    #[test]
    fn a_kind_of_terminal_is_told_to_who_makes_sandboxes() {
        let spec = crate::vocabulary::WorldSpec {
            terminal: Some(crate::vocabulary::TerminalSpec::Named(
                crate::vocabulary::NamedTerminal::Loop,
            )),
            ..crate::vocabulary::WorldSpec::default()
        };
        let values = Values::new("gauntlet", &spec, &crate::vocabulary::names::contract(), &[], None);
        assert_eq!(values.terminal, "");
        let objects = objects(HARNESS_TOKEN, &values).expect("a manifest");
        let kinds: Vec<&str> = objects
            .iter()
            .filter_map(|object| object.data.pointer("/spec/template/spec/containers/0/env")?.as_array())
            .flatten()
            .filter(|variable| variable["name"] == "TERMINAL")
            .filter_map(|variable| variable["value"].as_str())
            .collect();
        assert_eq!(kinds, ["loop"; 2]);
    }

    #[test]
    fn labels_of_selectors() {
        let again = |text| labels(text).map(|labels| selector(&labels));
        assert_eq!(again("app=web").as_deref(), Some("app=web"));
        assert_eq!(
            again("app==web, example.com/tier = x").as_deref(),
            Some("app=web,example.com/tier=x")
        );
        for text in ["app", "!app", "app!=web", "app in (a,b)", "app=", "app=a b", ""] {
            assert_eq!(again(text), None, "{text}");
        }
    }
}
