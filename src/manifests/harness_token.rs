//! What contract 1, the terminal behind a shared token, says that manifests can break.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::{Document, at, deployments};
use super::finding::{Finding, Rule};
use super::pod::Pod;
use super::shared_secret::SharedSecret;
use super::{Names, named};
use crate::yaml::Problem;
use crate::yaml::node::Node;

/// "Deployment `litellm-web` … Deployment `litellm-worker` … Both take the token from the secret as env, at start."
const ENVIRONMENT: Rule = Rule {
    id: "harness-token/token/env",
    holds: "the token comes from the Secret, as a variable",
};

/// "Secret `litellm-env`, key `HARNESS_AUTH_TOKEN`: 32 random bytes as 64 hex digits, no newline."
const SHAPE: Rule = Rule {
    id: "harness-token/secret/shape",
    holds: "the token that the Secret brings is 64 hex digits, without a newline",
};

/// All of this contract.
pub fn check(documents: &[Document], names: &Names) -> Vec<Finding> {
    let mut found = environment(documents, names);
    found.extend(shape(documents, names));
    found
}

fn environment(documents: &[Document], names: &Names) -> Vec<Finding> {
    let both = [
        (named(names, "web.deployment"), named(names, "web.selector")),
        (named(names, "worker.deployment"), named(names, "worker.selector")),
    ];
    let found = both.map(|(name, selector)| (name, deployments(documents, name, selector)));
    if found.iter().all(|(_, found)| found.is_empty()) {
        let [(web, _), (worker, _)] = both;
        return vec![ENVIRONMENT.without(format!(
            "no Deployment {web} and no Deployment {worker} in these manifests"
        ))];
    }
    let missing = found.iter().filter(|(_, found)| found.is_empty());
    let mut findings: Vec<Finding> = missing
        .map(|(name, _)| ENVIRONMENT.without(format!("no Deployment {name} in these manifests")))
        .collect();
    let pods: Vec<Pod<'_>> = found
        .iter()
        .flat_map(|(_, found)| found)
        .map(|deployment| Pod::of(deployment))
        .collect();
    let token = SharedSecret {
        what: "the token",
        variable: named(names, "sandbox.token-variable"),
        secret: (named(names, "secret.name"), "secret.name"),
        key: (named(names, "secret.key"), "secret.key"),
    };
    findings.extend(token.judge(ENVIRONMENT, &pods));
    findings
}

fn shape(documents: &[Document], names: &Names) -> Vec<Finding> {
    let (secret, key) = (named(names, "secret.name"), named(names, "secret.key"));
    let secrets = documents
        .iter()
        .filter(|document| document.kind() == "Secret" && document.name() == secret);
    let found = secrets.filter_map(|document| {
        // `stringData` is what counts where both have it.
        let plain = at(&document.root, &["stringData", key]);
        let value = plain.or_else(|| at(&document.root, &["data", key]))?;
        let problems = shape_of(document, value, plain.is_none());
        Some(SHAPE.judge(document, problems))
    });
    found.flatten().collect()
}

/// What is wrong with a token. None of it is said.
fn shape_of(document: &Document, value: &Node, encoded: bool) -> Vec<Problem> {
    let wrong = |message: &str| {
        let help = "`openssl rand -hex 32` makes one; without `-n`, `echo` adds a newline before `base64`";
        vec![document.problem(value.span, message).with_help(help)]
    };
    let Some(text) = value.as_text() else {
        return wrong("the token isn't a text: put it in quotes");
    };
    let token = match encoded {
        // Kubernetes passes over the ends of lines.
        true => match STANDARD.decode(text.replace(['\r', '\n'], "")) {
            Ok(bytes) => bytes,
            Err(_) => return wrong("the token under `data` is not base64"),
        },
        false => text.as_bytes().to_vec(),
    };
    match token.as_slice() {
        [] => wrong("the token is empty"),
        [.., b'\n' | b'\r'] => wrong("the token ends in a newline"),
        token if token.len() != 64 || !token.iter().all(u8::is_ascii_hexdigit) => {
            wrong("the token is not 64 hex digits")
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Verdict, found_in, verdicts};
    use super::*;

    const GOOD: &str =
        "{name: HARNESS_AUTH_TOKEN, valueFrom: {secretKeyRef: {name: litellm-env, key: HARNESS_AUTH_TOKEN}}}";

    fn deployment(name: &str, env: &str) -> String {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\n\
             spec: {{template: {{spec: {{containers: [{{name: c, env: [{env}]}}]}}}}}}\n"
        )
    }

    fn both(web: &str, worker: &str) -> String {
        deployment("litellm-web", web) + &deployment("litellm-worker", worker)
    }

    fn found(text: &str) -> Vec<Finding> {
        found_in(text, check)
    }

    #[test]
    fn a_token_from_the_secret() {
        assert_eq!(verdicts(&found(&both(GOOD, GOOD)), ENVIRONMENT), [Verdict::Pass; 2]);
    }

    #[test]
    fn all_keys_of_the_secret_are_the_token_too() {
        let all = deployment("litellm-web", "").replace("env: []", "envFrom: [{secretRef: {name: litellm-env}}]");
        let text = all + &deployment("litellm-worker", GOOD);
        assert_eq!(verdicts(&found(&text), ENVIRONMENT), [Verdict::Pass; 2]);
        let other = text.replace("{secretRef: {name: litellm-env}}", "{secretRef: {name: other}}");
        assert_eq!(verdicts(&found(&other), ENVIRONMENT), [Verdict::Skip, Verdict::Pass]);
    }

    #[test]
    fn tokens_from_elsewhere() {
        let plain = "{name: HARNESS_AUTH_TOKEN, value: deadbeefdeadbeef}";
        let other = GOOD.replace("litellm-env", "other");
        let key = GOOD.replace("key: HARNESS_AUTH_TOKEN", "key: OTHER");
        let map = GOOD.replace("secretKeyRef", "configMapKeyRef");
        for wrong in [plain, &other, &key, &map, "", "{name: HARNESS_AUTH_TOKEN, value: ''}"] {
            let found = found(&both(GOOD, wrong));
            assert_eq!(verdicts(&found, ENVIRONMENT), [Verdict::Pass, Verdict::Fail], "{wrong}");
            for finding in &found {
                let said = format!("{} {}", finding.problem, finding.problem.render());
                assert!(!said.contains("deadbeef"), "{said}");
            }
        }
    }

    /// A sidecar with a token of its own.
    #[test]
    fn each_container_is_judged() {
        let beside = |env: &str| both(&format!("{GOOD}]}}, {{name: d, {env}"), GOOD);
        let verdicts_of = |text: &str| verdicts(&found(text), ENVIRONMENT);
        let good = [Verdict::Pass; 2];
        assert_eq!(verdicts_of(&beside(&format!("env: [{GOOD}"))), good);
        assert_eq!(verdicts_of(&beside("env: [{name: OTHER, value: x}")), good);
        assert_eq!(verdicts_of(&beside("envFrom: [{configMapRef: {name: x}}")), good);
        let bad = [Verdict::Fail, Verdict::Pass];
        let plain = beside("env: [{name: HARNESS_AUTH_TOKEN, value: deadbeef}");
        assert_eq!(verdicts_of(&plain), bad);
        assert!(found(&plain)[0].problem.message.contains("of container d"));
        let other = beside(&format!("env: [{}", GOOD.replace("litellm-env", "other")));
        assert_eq!(verdicts_of(&other), bad);
        let last = "envFrom: [{secretRef: {name: litellm-env}}, {secretRef: {name: other}}";
        assert_eq!(
            verdicts_of(&both(&format!("], {last}"), GOOD)),
            [Verdict::Skip, Verdict::Pass]
        );
    }

    #[test]
    fn one_of_them_alone() {
        let found = found(&deployment("litellm-web", GOOD));
        assert_eq!(verdicts(&found, ENVIRONMENT), [Verdict::Skip, Verdict::Pass]);
        assert!(found[0].problem.message.contains("litellm-worker"));
    }

    #[test]
    fn the_token_that_a_secret_brings() {
        let secret = |data: &str| {
            found(&format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: litellm-env}}\n{data}\n"
            ))
        };
        let good = "0123456789abcdef".repeat(4);
        let plain = |token: &str| secret(&format!("stringData: {{HARNESS_AUTH_TOKEN: {token:?}}}"));
        let encoded = |token: &str| {
            let token = STANDARD.encode(token);
            secret(&format!("data: {{HARNESS_AUTH_TOKEN: {token}}}"))
        };
        assert_eq!(verdicts(&plain(&good), SHAPE), [Verdict::Pass]);
        assert_eq!(verdicts(&encoded(&good), SHAPE), [Verdict::Pass]);
        let lines = STANDARD.encode(&good);
        let (first, second) = lines.split_at(40);
        let block = secret(&format!("data:\n  HARNESS_AUTH_TOKEN: |\n    {first}\n    {second}"));
        assert_eq!(verdicts(&block, SHAPE), [Verdict::Pass]);
        assert!(verdicts(&secret("data: {OTHER: eA==}"), SHAPE).is_empty());
        for wrong in [
            plain(&format!("{good}\n")),
            plain(""),
            plain("changeme"),
            encoded(&format!("{good}\n")),
            secret(&format!("data: {{HARNESS_AUTH_TOKEN: '{good}='}}")),
            secret("stringData: {HARNESS_AUTH_TOKEN: 12345678}"),
        ] {
            assert_eq!(verdicts(&wrong, SHAPE), [Verdict::Fail]);
        }
    }
}
