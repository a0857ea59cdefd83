//! A secret that several Deployments take as a variable: from a Secret, and all from the same one.

use super::finding::{Finding, Rule};
use super::pod::{Container, Origin, Pod};
use crate::yaml::{Problem, Span};

/// What is expected of each.
#[derive(Clone, Copy, Debug)]
pub struct SharedSecret<'n> {
    /// What it is, in words: `the token`.
    pub what: &'n str,
    pub variable: &'n str,
    /// The Secret's name, and the name that it goes by in a profile.
    pub secret: (&'n str, &'n str),
    /// The same of its key.
    pub key: (&'n str, &'n str),
}

/// How one of them has it.
enum Held {
    Rightly,
    Wrongly(Problem),
    Unknown(Problem),
}

impl SharedSecret<'_> {
    /// Judges each Deployment's pods.
    pub fn judge(&self, rule: Rule, pods: &[Pod<'_>]) -> Vec<Finding> {
        let found = pods.iter().flat_map(|pod| self.judge_pod(rule, pod, pods));
        found.collect()
    }

    /// Each of its containers that has it has it rightly, and one has it.
    fn judge_pod(&self, rule: Rule, pod: &Pod<'_>, all: &[Pod<'_>]) -> Vec<Finding> {
        let found = pod.variables(self.variable);
        if found.is_empty() {
            let problem = self.missing(pod, all).with_help(self.wanted());
            return rule.judge(pod.document, vec![problem]);
        }
        let (mut is_held, mut wrong, mut unknown) = (false, Vec::new(), None);
        for (container, origin) in found {
            match self.held(pod, container, origin, all) {
                Held::Rightly => is_held = true,
                Held::Wrongly(problem) => wrong.push(problem),
                Held::Unknown(problem) => unknown = unknown.or(Some(problem)),
            }
        }
        match unknown {
            // One that surely has it is enough.
            Some(problem) if !is_held && wrong.is_empty() => vec![rule.skip(pod.document, problem)],
            _ => rule.judge(pod.document, wrong),
        }
    }

    fn wanted(&self) -> String {
        let (secret, key) = (self.secret.0, self.key.0);
        format!("take it from key {key} of Secret {secret} by `secretKeyRef`")
    }

    fn held(&self, pod: &Pod<'_>, container: Container<'_>, origin: Origin<'_>, all: &[Pod<'_>]) -> Held {
        let (secret, key, variable) = (self.secret.0, self.key.0, self.variable);
        let (name, wanted) = (container.name, self.wanted());
        let problem = |message: String| pod.problem(origin.span(), message);
        match origin {
            Origin::Secret {
                name: theirs,
                key: their_key,
                span,
                ..
            } if (theirs, their_key) != (secret, key) => {
                Held::Wrongly(self.of_another(pod, container, (theirs, their_key, span), all))
            }
            Origin::Secret { .. } => Held::Rightly,
            Origin::Plain { value, .. } if value.is_none_or(str::is_empty) => {
                let message = format!("{variable} of container {name} is empty");
                Held::Wrongly(problem(message).with_help(wanted))
            }
            Origin::Plain { .. } => {
                let message = format!("{} is in the manifest: {variable} of container {name}", self.what);
                let help = format!("{wanted}, and replace it: everybody who has read this file knows it");
                Held::Wrongly(problem(message).with_help(help))
            }
            Origin::Elsewhere(_) => {
                let message = format!("{variable} of container {name} does not come from a Secret");
                Held::Wrongly(problem(message).with_help(wanted))
            }
            Origin::Perhaps {
                secret: from, prefix, ..
            } if from == Some(secret) && variable.strip_prefix(prefix) == Some(key) => Held::Rightly,
            Origin::Perhaps { .. } => Held::Unknown(problem(format!(
                "container {name} takes all keys that are here: whether {variable} is one of them is unknown"
            ))),
        }
    }

    fn missing(&self, pod: &Pod<'_>, all: &[Pod<'_>]) -> Problem {
        let message = format!(
            "no container of {} has the variable {}",
            pod.document.title(),
            self.variable
        );
        let problem = pod.problem(pod.place(), message);
        let other = all
            .iter()
            .find_map(|other| Some((other, other.variable(self.variable)?.1)));
        match other {
            Some((other, origin)) => problem.with_related(
                &other.document.source,
                origin.span(),
                &format!("{} has it", other.document.title()),
            ),
            None => problem,
        }
    }

    /// It comes from another Secret or key than the installation's.
    fn of_another(
        &self,
        pod: &Pod<'_>,
        container: Container<'_>,
        (name, key, span): (&str, &str, Span),
        all: &[Pod<'_>],
    ) -> Problem {
        let reference = |pod: &Pod<'_>| match pod.variable(self.variable)?.1 {
            Origin::Secret { name, key, span, .. } => Some((name.to_owned(), key.to_owned(), span)),
            _ => None,
        };
        let (secret, wanted) = (self.secret.0, self.key.0);
        let message = format!(
            "{} of container {} comes from key {key} of Secret {name}, not from key {wanted} of Secret {secret}",
            self.variable, container.name
        );
        let settings = [(self.secret.1, name, secret), (self.key.1, key, wanted)];
        let settings: Vec<String> = settings
            .iter()
            .filter(|(_, theirs, ours)| theirs != ours)
            .map(|(setting, theirs, _)| format!("`--set {setting}={theirs}`"))
            .collect();
        let problem = pod.problem(span, message).with_help(format!(
            "if that is what it is called here, say so with {}",
            settings.join(" ")
        ));
        let differs = all.iter().find_map(|other| {
            let (their_name, their_key, span) = reference(other)?;
            ((their_name.as_str(), their_key.as_str()) != (name, key)).then_some((other, span))
        });
        match differs {
            Some((other, span)) => problem
                .with_related(
                    &other.document.source,
                    span,
                    &format!("{} takes another one", other.document.title()),
                )
                .with_help("all of them take the same key of the same Secret"),
            None => problem,
        }
    }
}
