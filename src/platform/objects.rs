//! The platform's objects in Kubernetes: the `Sandbox` resource, the names and
//! labels that its parts find each other by, and the template of a sandbox's pod.
//!
//! | label | on | meaning |
//! |---|---|---|
//! | `app=litellm-sandbox` | Sandbox, pod | a sandbox |
//! | `pool=warm` (`WARM_LABEL`) | Sandbox, pod | made ahead of time, not claimed yet |
//! | `session=<id>` (`SESSION_LABEL`) | Sandbox, pod | belongs to that session |

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, HTTPGetAction, Pod as KubernetesPod, PodSpec, PodTemplateSpec, Probe,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

use super::{ComponentError, Pod, mutant};

/// `agents.x-k8s.io/v1alpha1 Sandbox`: a pod of the same name that comes back until this object is deleted.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sandbox {
    pub api_version: Cow<'static, str>,
    pub kind: Cow<'static, str>,
    #[serde(default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: SandboxSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<SandboxStatus>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxSpec {
    #[serde(default)]
    pub pod_template: PodTemplateSpec,
}

/// What the controller knows of the pod.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxStatus {
    /// The pod's phase: `Pending`, `Running`, `Failed`, …
    #[serde(default)]
    pub phase: Option<String>,
    /// Written as null where there is none: a merge patch takes away what was there.
    #[serde(default, rename = "podIP")]
    pub pod_ip: Option<String>,
    /// `Ready`; its reason and message say why it isn't.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// The name of the condition, on a Sandbox as on a pod.
pub const READY: &str = "Ready";

/// The reason of a pod that will not become ready by waiting.
pub const FAILED: &str = "PodFailed";

impl Sandbox {
    pub const API_VERSION: &str = "agents.x-k8s.io/v1alpha1";
    pub const KIND: &str = "Sandbox";

    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(name).map(String::as_str)
    }

    pub fn is_deleted(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn ready(&self) -> Option<&Condition> {
        self.status
            .as_ref()?
            .conditions
            .iter()
            .find(|condition| condition.type_ == READY)
    }

    pub fn is_ready(&self) -> bool {
        self.ready().is_some_and(|ready| ready.status == "True")
    }

    /// Why the pod will not become ready, if so.
    pub fn failure(&self) -> Option<&str> {
        self.ready()
            .filter(|ready| ready.reason == FAILED)
            .map(|ready| ready.message.as_str())
    }

    pub fn pod_ip(&self) -> Option<&str> {
        self.status.as_ref()?.pod_ip.as_deref()
    }

    /// With what its pod itself says of address and phase.
    pub fn with_pod(mut self, pod: Option<&KubernetesPod>) -> Sandbox {
        if let Some(found) = pod.and_then(|pod| pod.status.as_ref()) {
            let status = self.status.get_or_insert_default();
            status.pod_ip = found.pod_ip.clone();
            status.phase = found.phase.clone();
        }
        self
    }

    pub fn phase(&self) -> Option<&str> {
        self.status.as_ref()?.phase.as_deref()
    }

    /// The token that its pod is made with: the literal in the template.
    pub fn token(&self) -> Option<String> {
        let container = self.spec.pod_template.spec.as_ref()?.containers.first()?;
        let variable = container.env.as_ref()?.iter().find(|var| var.name == TOKEN)?;
        variable.value.as_deref().map(of_literal)
    }
}

impl kube::Resource for Sandbox {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Sandbox::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "agents.x-k8s.io".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "sandboxes".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The variable that every part takes the token from.
pub const TOKEN: &str = "HARNESS_AUTH_TOKEN";

/// Variables that web and worker hand on to the sandboxes that they make.
const HANDED_ON: [&str; 7] = [
    "GAUNTLET_MUTANTS",
    "TERMINAL_COMMAND",
    "TERMINAL",
    "HEADER_TIMEOUT",
    "MAX_MESSAGE",
    "TTY_PARAMETER",
    "TTY_PATH",
];

/// Names that a session's own variables may not take.
pub fn is_reserved(variable: &str) -> bool {
    variable == TOKEN
        || variable == "HARNESS_AUTH_TOKEN_PREVIOUS"
        || variable == "PORT"
        || HANDED_ON.contains(&variable)
}

/// Whether a pod may have this variable: the API server takes no other names, and no program other values.
pub fn fits_pods(name: &str, value: &str) -> bool {
    let printable = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    !name.is_empty() && name.bytes().all(printable) && !value.contains('\0')
}

/// A variable's value as a pod's template has it: the kubelet makes `$` of `$$`, and of
/// `$(NAME)` the variable of that name.
fn literal(value: &str) -> String {
    value.replace('$', "$$")
}

fn of_literal(text: &str) -> String {
    text.replace("$$", "$")
}

/// What a sandbox is made for.
#[derive(Clone, Copy)]
pub enum Purpose<'a> {
    Pool,
    Session(&'a str),
}

/// How this installation names things.
#[derive(Clone)]
pub struct Names {
    pub warm_label: (String, String),
    pub session_label: String,
    pub sandbox_port: u16,
    pub tty_path: String,
    image: String,
    grace: i64,
    handed_on: Vec<(String, String)>,
    token_variable: &'static str,
}

impl Names {
    pub fn new(pod: &Pod) -> Result<Names, ComponentError> {
        let warm = pod.var_or("WARM_LABEL", "pool=warm");
        let (key, value) = warm
            .split_once('=')
            .ok_or_else(|| ComponentError(format!("WARM_LABEL is not KEY=VALUE: {warm:?}")))?;
        let handed_on = HANDED_ON.iter().filter_map(|name| {
            Some((
                (*name).to_owned(),
                pod.var(name).filter(|value| !value.is_empty())?.to_owned(),
            ))
        });
        let token_variable = if pod.has(&mutant::TOKEN_IN_OTHER_VARIABLE) {
            "HARNESS_TOKEN"
        } else {
            TOKEN
        };
        Ok(Names {
            warm_label: (key.to_owned(), value.to_owned()),
            session_label: pod.var_or("SESSION_LABEL", "session").to_owned(),
            sandbox_port: pod.number("SANDBOX_PORT", 4096)?,
            tty_path: pod.var_or("TTY_PATH", "/tty").to_owned(),
            image: pod.var_or("SANDBOX_IMAGE", "gauntlet:dev").to_owned(),
            grace: pod.number("SANDBOX_GRACE_SECONDS", 1)?,
            handed_on: handed_on.collect(),
            token_variable,
        })
    }

    /// `pool=warm`, as a selector.
    pub fn warm_selector(&self) -> String {
        format!("{}={}", self.warm_label.0, self.warm_label.1)
    }

    pub fn is_warm(&self, sandbox: &Sandbox) -> bool {
        sandbox.label(&self.warm_label.0) == Some(&self.warm_label.1)
    }

    /// A new sandbox. The token is a literal in its template, so that its pod
    /// has what held when it was made, and so has a pod that comes back.
    pub fn sandbox(&self, purpose: Purpose<'_>, token: Option<&str>, variables: &BTreeMap<String, String>) -> Sandbox {
        let (prefix, label) = match purpose {
            Purpose::Pool => ("warm", self.warm_label.clone()),
            Purpose::Session(id) => ("session", (self.session_label.clone(), id.to_owned())),
        };
        let labels = BTreeMap::from([("app".to_owned(), "litellm-sandbox".to_owned()), label]);
        let mut env: Vec<EnvVar> = Vec::new();
        let mut set = |name: &str, value: &str| {
            env.push(EnvVar {
                name: name.to_owned(),
                value: Some(literal(value)),
                ..EnvVar::default()
            });
        };
        for (name, value) in variables {
            set(name, value);
        }
        for (name, value) in &self.handed_on {
            set(name, value);
        }
        set("PORT", &self.sandbox_port.to_string());
        if let Some(token) = token {
            set(self.token_variable, token);
        }
        let ready = HTTPGetAction {
            path: Some("/healthz".into()),
            port: IntOrString::Int(self.sandbox_port.into()),
            ..HTTPGetAction::default()
        };
        let container = Container {
            name: "sandbox".into(),
            image: Some(self.image.clone()),
            image_pull_policy: Some("IfNotPresent".into()),
            args: Some(vec!["platform".into(), "sandbox".into()]),
            env: Some(env),
            ports: Some(vec![ContainerPort {
                name: Some("tty".into()),
                container_port: self.sandbox_port.into(),
                ..ContainerPort::default()
            }]),
            readiness_probe: Some(Probe {
                http_get: Some(ready),
                period_seconds: Some(1),
                ..Probe::default()
            }),
            ..Container::default()
        };
        let spec = PodSpec {
            containers: vec![container],
            // The agent in the sandbox has no business with the cluster.
            automount_service_account_token: Some(false),
            // The pod's own first process then takes in the orphans of the terminal's jobs; the
            // sandbox's, which would be the first one otherwise, waits for its own children alone.
            share_process_namespace: Some(true),
            termination_grace_period_seconds: Some(self.grace),
            ..PodSpec::default()
        };
        Sandbox {
            api_version: Sandbox::API_VERSION.into(),
            kind: Sandbox::KIND.into(),
            metadata: ObjectMeta {
                name: Some(format!("{prefix}-{}", new_id())),
                labels: Some(labels.clone()),
                ..ObjectMeta::default()
            },
            spec: SandboxSpec {
                pod_template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(labels),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(spec),
                },
            },
            status: None,
        }
    }
}

/// A random name's part, valid in a DNS label.
pub fn new_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// Whether a pod's `Ready` condition holds.
pub fn is_pod_ready(pod: &KubernetesPod) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == READY && condition.status == "True")
}

/// Whether an answer of the API has this status code.
pub fn has_code(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;

    /// Whatever is in a token or a session's variable, the kubelet must not expand it.
    #[test]
    fn templates_hold_literals() {
        let names = Names::new(&pod(&[])).expect("names");
        let variables = BTreeMap::from([("A".to_owned(), "$(PORT)".to_owned())]);
        for (token, literal) in [("0a", "0a"), ("$", "$$"), ("a$$b", "a$$$$b"), ("$(A)$", "$$(A)$$")] {
            let sandbox = names.sandbox(Purpose::Pool, Some(token), &variables);
            assert_eq!(sandbox.token().as_deref(), Some(token));
            let spec = sandbox.spec.pod_template.spec.expect("a spec");
            let env = spec.containers[0].env.as_deref().unwrap_or_default();
            let value = |name| {
                env.iter()
                    .find(|var| var.name == name)
                    .and_then(|var| var.value.as_deref())
            };
            assert_eq!((value(TOKEN), value("A")), (Some(literal), Some("$$(PORT)")));
        }
    }

    #[test]
    fn sandboxes_get_the_kind_of_their_terminals() {
        let given = |value: &str| {
            let names = Names::new(&pod(&[("TERMINAL", value)])).expect("names");
            let sandbox = names.sandbox(Purpose::Pool, None, &BTreeMap::new());
            let spec = sandbox.spec.pod_template.spec.expect("a spec");
            let env = spec.containers[0].env.clone().unwrap_or_default();
            let found = env.into_iter().find(|var| var.name == "TERMINAL");
            found.and_then(|var| var.value)
        };
        assert_eq!(given("loop").as_deref(), Some("loop"));
        // A manifest that says nothing of it has an empty one.
        assert_eq!(given(""), None);
    }

    #[test]
    fn variables_are_those_that_a_pod_may_have() {
        for name in ["A", "a b", "9-.x", "~"] {
            assert!(fits_pods(name, "any\n$(ü)"), "{name}");
        }
        for name in ["", "A=B", "Ü", "A\0", "A\n", "\u{7f}"] {
            assert!(!fits_pods(name, ""), "{name:?}");
        }
        assert!(!fits_pods("A", "\0"));
    }
}
