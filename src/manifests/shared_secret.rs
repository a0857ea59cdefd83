//! A secret that several Deployments take as a variable: from a Secret, and all from the same one.

use super::finding::{Finding, Rule};
use super::pod::{Container, Origin, Pod};
use crate::yaml::Problem;

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
        let found = pods.iter().flat_map(|pod| match self.held(pod, pods) {
            Held::Rightly => rule.judge(pod.document, Vec::new()),
            Held::Wrongly(problem) => rule.judge(pod.document, vec![problem]),
            Held::Unknown(problem) => vec![rule.skip(pod.document, problem)],
        });
        found.collect()
    }

    fn held(&self, pod: &Pod<'_>, all: &[Pod<'_>]) -> Held {
        let (secret, key, variable) = (self.secret.0, self.key.0, self.variable);
        let wanted = format!("take it from key {key} of Secret {secret} by `secretKeyRef`");
        let Some((container, origin)) = pod.variable(variable) else {
            return Held::Wrongly(self.missing(pod, all).with_help(wanted));
        };
        let name = container.name;
        let problem = |message: String| pod.problem(origin.span(), message);
        match origin {
            Origin::Secret {
                name: theirs,
                key: their_key,
                ..
            } if (theirs, their_key) != (secret, key) => Held::Wrongly(self.of_another(pod, container, all)),
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
    fn of_another(&self, pod: &Pod<'_>, container: Container<'_>, all: &[Pod<'_>]) -> Problem {
        let reference = |pod: &Pod<'_>| match pod.variable(self.variable)?.1 {
            Origin::Secret { name, key, span, .. } => Some((name.to_owned(), key.to_owned(), span)),
            _ => None,
        };
        let Some((name, key, span)) = reference(pod) else {
            return pod.problem(container.span, "it comes from elsewhere");
        };
        let (secret, wanted) = (self.secret.0, self.key.0);
        let message = format!(
            "{} of container {} comes from key {key} of Secret {name}, not from key {wanted} of Secret {secret}",
            self.variable, container.name
        );
        let settings = [
            (self.secret.1, name.as_str(), secret),
            (self.key.1, key.as_str(), wanted),
        ];
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
            ((&their_name, &their_key) != (&name, &key)).then_some((other, span))
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
