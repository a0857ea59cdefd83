//! Parts of a profile that the reference platform can't have: reported before a run, so that nothing in a
//! profile is silently ignored.

use std::collections::BTreeMap;

use crate::vocabulary::selector::labels;

/// A name of a profile that the reference platform can't have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// As in [`crate::vocabulary::names::NAMES`].
    pub name: &'static str,
    /// Another name that it can't be together with.
    pub other: Option<&'static str>,
    pub why: String,
}

/// The variable that the reference platform's sandboxes have the token in.
const TOKEN_VARIABLE: &str = "HARNESS_AUTH_TOKEN";
/// Deployments of the reference platform whose names no profile has.
const FIXED_DEPLOYMENTS: [&str; 2] = ["sandbox-controller", "probe"];
/// Labels of its pods that no profile has.
const FIXED_LABELS: [&str; 3] = ["app=sandbox-controller", "app=litellm-sandbox", "app=seed"];
/// The label that a session's sandbox has.
const SESSION_LABEL: &str = "session";
/// The port that the balancer's health is asked on.
const BALANCER_HEALTH_PORT: &str = "8082";

/// What the reference platform can't be called; empty if it can have all of these names.
pub fn misfits(names: &BTreeMap<String, String>) -> Vec<Misfit> {
    let mut found = Vec::new();
    let mut report = |name: &'static str, other: Option<&'static str>, why: String| {
        found.push(Misfit { name, other, why });
    };
    let of = |name: &str| names.get(name).map(String::as_str).unwrap_or_default();

    if of("sandbox.token-variable") != TOKEN_VARIABLE {
        let why = format!("its sandboxes have the token in `{TOKEN_VARIABLE}`, always");
        report("sandbox.token-variable", None, why);
    }
    if of("secret.key") == of("secret.master-key") {
        report(
            "secret.master-key",
            Some("secret.key"),
            "`secret.key` is the same".into(),
        );
    }
    // The balancer gives the probe all below its path.
    if format!("{}/", of("api.path")).starts_with(&format!("{}/", of("probe.path"))) {
        report("probe.path", Some("api.path"), "`api.path` is below it".into());
    }
    let deployments = ["web.deployment", "worker.deployment", "balancer.deployment"];
    for (index, name) in deployments.into_iter().enumerate() {
        let value = of(name);
        if let Some(other) = deployments[..index].iter().find(|other| of(other) == value) {
            report(name, Some(other), format!("`{other}` is the same"));
        }
        if FIXED_DEPLOYMENTS.contains(&value) {
            report(name, None, format!("another deployment of its own is called `{value}`"));
        }
    }
    let ports = ["balancer.port", "balancer.tls-port"];
    if of(ports[0]) == of(ports[1]) {
        report(ports[1], Some(ports[0]), format!("`{}` is the same", ports[0]));
    }
    for name in ports.into_iter().filter(|name| of(name) == BALANCER_HEALTH_PORT) {
        let why = format!("its balancer has its health on port {BALANCER_HEALTH_PORT}");
        report(name, None, why);
    }
    selectors(&of, &mut report);
    found
}

/// Selectors become labels, and none may select another part's pods as well.
fn selectors<'n>(of: &impl Fn(&str) -> &'n str, report: &mut impl FnMut(&'static str, Option<&'static str>, String)) {
    const SELECTORS: [&str; 5] = [
        "web.selector",
        "worker.selector",
        "balancer.selector",
        "probe.selector",
        "warm.selector",
    ];
    let mut known: Vec<(&'static str, BTreeMap<String, String>)> = FIXED_LABELS
        .into_iter()
        .filter_map(|label| Some((label, labels(label)?)))
        .collect();
    for name in SELECTORS {
        let Some(labels) = labels(of(name)) else {
            let why = "its pods get the labels of the selector, as `app=web,tier=front`".to_owned();
            report(name, None, format!("`{}` is no list of labels: {why}", of(name)));
            continue;
        };
        let within = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            a.iter().all(|(key, value)| b.get(key) == Some(value))
        };
        if let Some((other, _)) = known
            .iter()
            .find(|(_, other)| within(&labels, other) || within(other, &labels))
        {
            let (own, other) = (FIXED_LABELS.contains(other), *other);
            let whose = if own { " of its own" } else { "" };
            let why = format!("pods of `{other}`{whose} would be selected as well, or the other way round");
            report(name, (!own).then_some(other), why);
        }
        if name == "warm.selector" {
            let mut keys = labels.keys();
            match (keys.next().map(String::as_str), keys.next()) {
                (Some(SESSION_LABEL), _) => {
                    report(
                        name,
                        None,
                        format!("its sandboxes have the label `{SESSION_LABEL}` for their sessions"),
                    );
                }
                (Some("app"), _) => report(name, None, "its sandboxes have the label `app` for themselves".into()),
                (_, Some(_)) => report(name, None, "its warm pods have one label".into()),
                _ => {}
            }
        }
        known.push((name, labels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::names::{NAMES, contract};

    fn told(changes: &[(&str, &str)]) -> String {
        let mut names = contract();
        for (name, value) in changes {
            assert!(NAMES.iter().any(|(known, _)| known == name), "{name}");
            names.insert((*name).to_owned(), (*value).to_owned());
        }
        let lines = misfits(&names).into_iter().map(|m| format!("{}: {}\n", m.name, m.why));
        lines.collect()
    }

    #[test]
    fn the_contracts_names_fit() {
        assert_eq!(told(&[]), "");
        assert_eq!(
            told(&[("web.selector", "app=x,tier=front"), ("web.deployment", "x")]),
            ""
        );
    }

    #[test]
    fn what_cannot_be() {
        insta::assert_snapshot!(told(&[
            ("sandbox.token-variable", "TOKEN"),
            ("secret.master-key", "HARNESS_AUTH_TOKEN"),
            ("probe.path", "/api"),
            ("worker.deployment", "litellm-web"),
            ("balancer.deployment", "probe"),
            ("balancer.port", "8082"),
            ("balancer.tls-port", "8082"),
            ("web.selector", "app in (a,b)"),
            ("worker.selector", "app=balancer,tier=x"),
            ("probe.selector", "app=seed"),
            ("warm.selector", "session=warm,x=y"),
        ]), @"
        sandbox.token-variable: its sandboxes have the token in `HARNESS_AUTH_TOKEN`, always
        secret.master-key: `secret.key` is the same
        probe.path: `api.path` is below it
        worker.deployment: `web.deployment` is the same
        balancer.deployment: another deployment of its own is called `probe`
        balancer.tls-port: `balancer.port` is the same
        balancer.port: its balancer has its health on port 8082
        balancer.tls-port: its balancer has its health on port 8082
        web.selector: `app in (a,b)` is no list of labels: its pods get the labels of the selector, as `app=web,tier=front`
        balancer.selector: pods of `worker.selector` would be selected as well, or the other way round
        probe.selector: pods of `app=seed` of its own would be selected as well, or the other way round
        warm.selector: its sandboxes have the label `session` for their sessions
        ");
    }
}
