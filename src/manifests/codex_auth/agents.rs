//! Codex agents, Deployments `cloud-codex-NAME`: their key, their token, their state.

use super::mount_path;
use crate::manifests::document::{Document, at, list, text};
use crate::manifests::finding::{Finding, Rule};
use crate::manifests::pod::{Container, Origin, Pod, Said, no_boolean};
use crate::yaml::{Problem, Span};

/// "`LITELLM_API_KEY` comes from secret `cloud-codex-<name>-litellm-key`, optional: without it the pod boots and logs a
/// warning".
pub const KEY: Rule = Rule {
    id: "codex-auth/agent/no-key",
    holds: "the key comes from the agent's own Secret, and is optional",
};

/// "The runtime token's secret `cloud-codex-<name>-token` is required".
pub const TOKEN: Rule = Rule {
    id: "codex-auth/agent/token",
    holds: "the runtime token's Secret is required",
};

/// "the agent's PVC holds `/state/.commonly/tokens/<name>.json`."
pub const STATE: Rule = Rule {
    id: "codex-auth/agent/state",
    holds: "/state is in a claim",
};

const PREFIX: &str = "cloud-codex-";
const KEY_VARIABLE: &str = "LITELLM_API_KEY";
const STATE_PATH: &str = "/state";

/// All agents.
pub fn check(documents: &[Document]) -> Vec<Finding> {
    let agents: Vec<Pod<'_>> = documents
        .iter()
        .filter(|document| document.kind() == "Deployment" && document.name().starts_with(PREFIX))
        .map(Pod::of)
        .collect();
    if agents.is_empty() {
        return vec![KEY.without(format!("no Deployment {PREFIX}NAME in these manifests"))];
    }
    let found = agents.iter().flat_map(|agent| {
        let mut findings = key(agent);
        findings.extend(TOKEN.judge(agent.document, token(agent).into_iter().collect()));
        findings.extend(STATE.judge(agent.document, state(agent).into_iter().collect()));
        findings
    });
    found.collect()
}

fn key(agent: &Pod<'_>) -> Vec<Finding> {
    let document = agent.document;
    let secret = format!("{}-litellm-key", document.name());
    let help = format!("`secretKeyRef: {{ name: {secret}, key: …, optional: true }}`");
    let fail = |span: Span, message: String| {
        let problem = agent.problem(span, message).with_help(help.clone());
        KEY.judge(document, vec![problem])
    };
    let Some((container, origin)) = agent.variable(KEY_VARIABLE) else {
        return fail(agent.place(), format!("no container has the variable {KEY_VARIABLE}"));
    };
    let span = origin.span();
    match origin {
        Origin::Secret { name, .. } if name != secret => fail(
            span,
            format!("{KEY_VARIABLE} comes from Secret {name}, not from {secret}"),
        ),
        Origin::Secret {
            optional: Said::Neither,
            ..
        } => fail(span, no_boolean(&format!("`optional` of {KEY_VARIABLE}"))),
        Origin::Secret { optional: Said::No, .. } => fail(
            span,
            format!("{KEY_VARIABLE} is not optional: without Secret {secret} the pod would not start"),
        ),
        Origin::Secret { .. } => KEY.judge(document, Vec::new()),
        Origin::Plain { .. } => fail(
            span,
            format!(
                "the key is in the manifest: {KEY_VARIABLE} of container {}",
                container.name
            ),
        ),
        Origin::Elsewhere(_) => fail(span, format!("{KEY_VARIABLE} does not come from a Secret")),
        Origin::Perhaps { .. } => {
            let why = format!(
                "container {} takes all keys that are here: whether {KEY_VARIABLE} is one of them is unknown",
                container.name
            );
            vec![KEY.skip(document, agent.problem(span, why))]
        }
    }
}

/// Somewhere that the pod refers to a Secret.
struct Reference {
    optional: Said,
    span: Span,
}

fn token(agent: &Pod<'_>) -> Option<Problem> {
    let secret = format!("{}-token", agent.document.name());
    let references: Vec<Reference> = references(agent, &secret);
    let help = format!("`secretKeyRef: {{ name: {secret}, key: … }}`, or a volume of that Secret, without `optional`");
    if let Some(reference) = references.iter().find(|reference| reference.optional == Said::Neither) {
        let message = no_boolean(&format!("`optional` of Secret {secret}"));
        return Some(agent.problem(reference.span, message).with_help(help));
    }
    match references.iter().find(|reference| reference.optional == Said::No) {
        Some(_) => None,
        None => Some(match references.first() {
            Some(reference) => agent
                .problem(reference.span, format!("Secret {secret} is optional, and is required"))
                .with_help(help),
            None => agent
                .problem(
                    agent.place(),
                    format!("nothing refers to Secret {secret}, the runtime token's"),
                )
                .with_help(help),
        }),
    }
}

fn references(agent: &Pod<'_>, secret: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for container in agent.all() {
        found.extend(of_variables(container, secret));
    }
    for volume in agent.volumes {
        let projected = list(volume, &["projected", "sources"]);
        let named = [(volume.get("secret"), "secretName")]
            .into_iter()
            .chain(projected.iter().map(|source| (source.get("secret"), "name")));
        for (reference, key) in named {
            if let Some(reference) = reference.filter(|reference| text(reference, &[key]) == secret) {
                found.push(Reference {
                    optional: Said::of(reference.get("optional")),
                    span: at(reference, &[key]).map_or(reference.span, |name| name.span),
                });
            }
        }
    }
    found
}

fn of_variables(container: Container<'_>, secret: &str) -> Vec<Reference> {
    let single = container.secret_variables().filter_map(|origin| match origin {
        Origin::Secret {
            name, optional, span, ..
        } => (name == secret).then_some(Reference { optional, span }),
        _ => None,
    });
    let all = list(container.node, &["envFrom"])
        .iter()
        .filter_map(|source| source.get("secretRef"))
        .filter(|reference| text(reference, &["name"]) == secret)
        .map(|reference| Reference {
            optional: Said::of(reference.get("optional")),
            span: reference.span,
        });
    single.chain(all).collect()
}

fn state(agent: &Pod<'_>) -> Option<Problem> {
    let mut mounts = agent.containers.iter().flat_map(|container| container.mounts());
    let Some(mount) = mounts.find(|mount| mount_path(mount) == STATE_PATH) else {
        return Some(
            agent
                .problem(agent.place(), format!("no container mounts {STATE_PATH}"))
                .with_help("the agent's claim is mounted there: it holds the runtime token's file"),
        );
    };
    let name = text(mount, &["name"]);
    let help = "a volume with `persistentVolumeClaim`: what is in another one is lost with the pod";
    match agent.volume(name) {
        None => Some(
            agent
                .problem(mount.span, format!("the pod declares no volume {name}"))
                .with_help(help),
        ),
        Some(volume) if at(volume, &["persistentVolumeClaim", "claimName"]).is_none() => Some(
            agent
                .problem(volume.span, format!("{STATE_PATH} is not in a PersistentVolumeClaim"))
                .with_related(&agent.document.source, mount.span, "mounted here")
                .with_help(help),
        ),
        Some(_) => None,
    }
}
