//! What contract 2, the codex login that lives inside the cluster, says that manifests can break.

mod agents;
mod shape;
mod storage;

use super::document::{Document, at, deployments, text};
use super::finding::{Finding, Rule};
use super::pod::{Origin, Pod};
use super::{Names, named};
use crate::yaml::Problem;
use crate::yaml::node::{Kind, Node};

/// The Deployment's name where no profile says another one.
const LITELLM: &str = "litellm";
/// "Deployment `litellm` (label `app=litellm` …)".
const LITELLM_SELECTOR: &str = "app=litellm";
const ROTATOR: &str = "codex-auth-rotator";
const CLI: &str = "codex-cli";
const SEED: &str = "codex-auth-seed";
/// "containers: `litellm`, `codex-auth-rotator`, `codex-cli`."
const CONTAINERS: [&str; 3] = [LITELLM, ROTATOR, CLI];
/// "init container: `codex-auth-seed` only."
const INIT_CONTAINERS: [&str; 1] = [SEED];
/// "all mount volume `chatgpt-auth` at `/chatgpt-auth`."
const VOLUME: &str = "chatgpt-auth";
const INTERVAL_VARIABLE: &str = "CODEX_ROTATION_INTERVAL_SEC";
/// "`/health/readiness` open".
const READINESS: &str = "/health/readiness";

/// "Deployment `litellm` …, one replica."
const REPLICAS: Rule = Rule {
    id: "codex-auth/pod/replicas",
    holds: "there is one replica",
};

/// "Every interval (env `CODEX_ROTATION_INTERVAL_SEC`; fractions allowed in ours) it takes the next usable account".
const INTERVAL: Rule = Rule {
    id: "codex-auth/rotate/interval",
    holds: "the rotator has its interval",
};

/// "`litellm` (proxy, :4000, `/health/readiness` open)".
const READY: Rule = Rule {
    id: "codex-auth/pod/readiness",
    holds: "LiteLLM's readiness probe is /health/readiness",
};

/// All of this contract.
pub fn check(documents: &[Document], names: &Names) -> Vec<Finding> {
    let name = match named(names, "litellm.deployment") {
        "" => LITELLM,
        name => name,
    };
    let found = deployments(documents, name, LITELLM_SELECTOR);
    let mut findings = Vec::new();
    if found.is_empty() {
        findings.push(shape::SHAPE.without(format!("no Deployment {name} in these manifests")));
    }
    for document in found {
        let pod = Pod::of(document);
        if is_of_codex(&pod) {
            findings.extend(litellm(&pod, documents));
        } else {
            let why = "it has nothing of codex: no container codex-… and no volume chatgpt-auth";
            findings.push(shape::SHAPE.skip(document, document.problem(document.place(), why)));
        }
    }
    findings.extend(agents::check(documents));
    findings
}

/// Whether it is the contract's, and not a LiteLLM of other platforms.
fn is_of_codex(pod: &Pod<'_>) -> bool {
    pod.all().any(|container| container.name.starts_with("codex-")) || pod.volume(VOLUME).is_some()
}

fn litellm(pod: &Pod<'_>, documents: &[Document]) -> Vec<Finding> {
    let document = pod.document;
    let mut findings = shape::SHAPE.judge(document, shape::judge(pod));
    findings.extend(shape::MOUNTS.judge(document, shape::mounts(pod)));
    findings.extend(storage::check(pod, documents));
    findings.extend(REPLICAS.judge(document, replicas(document).into_iter().collect()));
    findings.push(interval(pod));
    findings.push(readiness(pod));
    findings
}

fn replicas(document: &Document) -> Option<Problem> {
    // One is what Kubernetes takes where nothing is said.
    let replicas = at(&document.root, &["spec", "replicas"])?;
    match &replicas.kind {
        Kind::Number(number) if number.as_u64() == Some(1) => None,
        Kind::Null => None,
        _ => Some(
            document
                .problem(replicas.span, format!("`replicas` is {}, not 1", replicas.describe()))
                .with_help("each pod would rotate accounts of its own: a refresh token is good for one use"),
        ),
    }
}

fn interval(pod: &Pod<'_>) -> Finding {
    let document = pod.document;
    let one = |problem: Problem| INTERVAL.fail(document, problem);
    let Some(rotator) = pod.all().find(|container| container.name == ROTATOR) else {
        let why = format!("there is no container {ROTATOR}");
        return INTERVAL.skip(document, pod.problem(pod.place(), why));
    };
    let help = "a number of seconds, in quotes: \"3600\"";
    match rotator.variable(INTERVAL_VARIABLE) {
        None => {
            let message = format!("container {ROTATOR} has no variable {INTERVAL_VARIABLE}");
            one(pod.problem(rotator.span, message).with_help(help))
        }
        Some(Origin::Plain { value: None, span }) => {
            let message =
                format!("{INTERVAL_VARIABLE} isn't a text: the API server accepts only texts as values of variables");
            one(pod.problem(span, message).with_help(help))
        }
        Some(Origin::Plain {
            value: Some(value),
            span,
        }) => match value.trim().parse::<f64>() {
            Ok(seconds) if seconds > 0.0 && seconds.is_finite() => INTERVAL.pass(document),
            _ => {
                let message = format!("{INTERVAL_VARIABLE} is not a number above 0");
                one(pod.problem(span, message).with_help(help))
            }
        },
        Some(origin) => {
            let why = format!("{INTERVAL_VARIABLE} comes from elsewhere: its value is unknown");
            INTERVAL.skip(document, pod.problem(origin.span(), why))
        }
    }
}

fn readiness(pod: &Pod<'_>) -> Finding {
    let document = pod.document;
    let Some(litellm) = pod.containers.iter().find(|container| container.name == LITELLM) else {
        let why = format!("there is no container {LITELLM}");
        return READY.skip(document, pod.problem(pod.place(), why));
    };
    let help = format!("`readinessProbe: {{ httpGet: {{ path: {READINESS}, port: 4000 }} }}`");
    let Some(probe) = litellm.node.get("readinessProbe") else {
        let message = format!("container {LITELLM} has no readinessProbe");
        return READY.fail(document, pod.problem(litellm.span, message).with_help(help));
    };
    let Some(path) = at(probe, &["httpGet", "path"]) else {
        let why = "readiness is not probed over HTTP, so it can't be judged";
        return READY.skip(document, pod.problem(probe.span, why));
    };
    match path.as_text().map(|path| path.split('?').next().unwrap_or(path)) {
        Some(READINESS) => READY.pass(document),
        _ => {
            let message = format!(
                "readiness is asked at {}, not at {READINESS}",
                text(probe, &["httpGet", "path"])
            );
            READY.fail(document, pod.problem(path.span, message).with_help(help))
        }
    }
}

/// A mount's path, as if it had no slash at its end.
fn mount_path(mount: &Node) -> &str {
    let path = text(mount, &["mountPath"]);
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests;
