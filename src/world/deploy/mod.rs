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
/// The platform of contract 2.
const CODEX_AUTH: &str = include_str!("../../../deploy/codex-auth.yaml");
/// Real gateways before the agent service.
pub const GATEWAYS: &str = include_str!("../../../deploy/gateways.yaml");
/// The deploy pipeline's step.
pub const SEED: &str = include_str!("../../../deploy/seed.yaml");

/// The manifest of a contract's platform.
pub fn platform(contract: Contract) -> &'static str {
    match contract {
        Contract::HarnessToken => HARNESS_TOKEN,
        Contract::AgentService => AGENT_SERVICE,
        Contract::CodexAuth => CODEX_AUTH,
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

impl DeployError {
    /// Whether the cluster rejects an object as invalid.
    pub fn is_refused(&self) -> bool {
        match self {
            DeployError::Create { source, .. } => {
                matches!(source.as_ref(), kube::Error::Api(status) if status.code == 422)
            }
            DeployError::Template(_) | DeployError::Yaml(_) => false,
        }
    }
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
/// (deployments of no replicas, claims of no bytes) are left out.
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
        .filter(|object| object.data.pointer("/spec/resources/requests/storage") != Some(&"0".into()))
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
    use crate::platform::{Mutant, mutant};
    use crate::world::codex::Codex;

    /// `$(…)` and `$$` are left for the kubelet to expand.
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

    /// The deployment of LiteLLM as a world asks for it, and the kinds of all objects.
    fn codex_auth(spec: &crate::vocabulary::WorldSpec, mutants: &[&Mutant]) -> (serde_json::Value, Vec<String>) {
        let values = Values::new("gauntlet", spec, &crate::vocabulary::names::contract(), mutants, None);
        let objects = objects(CODEX_AUTH, &values).expect("a manifest");
        let is_litellm = |object: &&DynamicObject| object.metadata.name.as_deref() == Some("litellm");
        let mut litellm = objects.iter().filter(is_litellm);
        let deployment = litellm.find_map(|object| object.data.get("spec").filter(|spec| spec["template"].is_object()));
        let kind = |object: &DynamicObject| object.types.as_ref().map(|types| types.kind.clone());
        let kinds = objects.iter().filter_map(kind).collect();
        (deployment.cloned().expect("a deployment"), kinds)
    }

    fn names_in(containers: &serde_json::Value) -> Vec<&str> {
        let containers = containers.as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str()).collect()
    }

    #[test]
    fn logins_are_on_a_claim_or_on_none() {
        let spec = |persistence| crate::vocabulary::WorldSpec {
            persistence,
            ..crate::vocabulary::WorldSpec::default()
        };
        let (kept, kinds) = codex_auth(&spec(true), &[]);
        assert_eq!(kept["strategy"]["type"], "Recreate");
        let volume = &kept["template"]["spec"]["volumes"][0];
        assert_eq!(volume["persistentVolumeClaim"]["claimName"], "litellm-chatgpt-auth");
        assert!(kinds.iter().any(|kind| kind == "PersistentVolumeClaim"), "{kinds:?}");
        let (lost, kinds) = codex_auth(&spec(false), &[]);
        assert_eq!(lost["strategy"]["type"], "RollingUpdate");
        assert!(lost["template"]["spec"]["volumes"][0]["emptyDir"].is_object());
        assert!(!kinds.iter().any(|kind| kind == "PersistentVolumeClaim"), "{kinds:?}");
    }

    #[test]
    fn which_codex_containers_run() {
        let spec = crate::vocabulary::WorldSpec {
            agent: crate::vocabulary::AgentState::WithKey,
            ..crate::vocabulary::WorldSpec::default()
        };
        for (codex, program, interval) in [(Codex::StandIn, "stand-in", "0.1"), (Codex::OfImage, "", "1")] {
            let names = crate::vocabulary::names::contract();
            let values = Values::new("gauntlet", &spec, &names, &[], None).with_codex(&codex);
            let objects = objects(CODEX_AUTH, &values).expect("a manifest");
            let said = |name: &'static str| {
                objects
                    .iter()
                    .filter_map(|object| object.data.pointer("/spec/template/spec/containers")?.as_array())
                    .flatten()
                    .filter_map(|container| container["env"].as_array())
                    .flatten()
                    .filter(|variable| variable["name"] == name)
                    .filter_map(|variable| variable["value"].as_str())
                    .collect::<Vec<&str>>()
            };
            assert_eq!(said("CODEX_PROGRAM"), [program; 2]);
            assert_eq!(said("POLL_INTERVAL"), [interval]);
        }
    }

    #[test]
    fn what_never_ends_is_no_init_container_but_as_a_mutant() {
        let spec = crate::vocabulary::WorldSpec::default();
        let (good, _) = codex_auth(&spec, &[]);
        let pod = &good["template"]["spec"];
        assert_eq!(names_in(&pod["initContainers"]), ["codex-auth-seed"]);
        assert_eq!(
            names_in(&pod["containers"]),
            ["codex-cli", "litellm", "codex-auth-rotator"]
        );
        let (bad, _) = codex_auth(&spec, &[&mutant::CODEX_CLI_IS_INIT_CONTAINER]);
        let pod = &bad["template"]["spec"];
        assert_eq!(names_in(&pod["initContainers"]), ["codex-auth-seed", "codex-cli"]);
        assert_eq!(names_in(&pod["containers"]), ["litellm", "codex-auth-rotator"]);
        let (twice, _) = codex_auth(&spec, &[&mutant::CODEX_CLI_IN_BOTH_LISTS]);
        let pod = &twice["template"]["spec"];
        assert_eq!(names_in(&pod["initContainers"]), ["codex-auth-seed", "codex-cli"]);
        assert_eq!(
            names_in(&pod["containers"]),
            ["codex-cli", "litellm", "codex-auth-rotator"]
        );
    }

    #[test]
    fn what_a_chart_gets_wrong() {
        let spec = |persistence| crate::vocabulary::WorldSpec {
            persistence,
            ..crate::vocabulary::WorldSpec::default()
        };
        let volume = |persistence, mutant| {
            let (litellm, _) = codex_auth(&spec(persistence), &[mutant]);
            litellm["template"]["spec"]["volumes"][0].clone()
        };
        assert!(volume(true, &mutant::EMPTYDIR_WITH_PERSISTENCE)["emptyDir"].is_object());
        assert!(volume(false, &mutant::CLAIM_WITHOUT_PERSISTENCE)["persistentVolumeClaim"].is_object());
        let (rolling, _) = codex_auth(&spec(true), &[&mutant::ROLLING_WITH_CLAIM]);
        assert_eq!(rolling["strategy"]["type"], "RollingUpdate");
        let (apart, _) = codex_auth(&spec(true), &[&mutant::ROTATOR_WITHOUT_VOLUME]);
        let pod = &apart["template"]["spec"];
        assert_eq!(pod["containers"][2]["volumeMounts"][0]["name"], "elsewhere");
        assert_eq!(pod["volumes"][2]["name"], "elsewhere");
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
