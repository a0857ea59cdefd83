//! Profiles: a real installation's names, how to reach it, and its choices where the contract leaves
//! them open.

pub mod logs;
pub mod operations;
mod refuse;
pub mod route_address;
pub mod routes;
mod schema;
pub mod secret_source;
pub mod unsupported;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::json;
use sha2::{Digest, Sha256};

use logs::LogSource;
use operations::Operations;
use refuse::refuse_name;
use route_address::{AddressError, Way};
pub use schema::schema;
use secret_source::{Needed, SecretSource};

use crate::vocabulary::Road;
use crate::vocabulary::names::{self, NAMES};
use crate::vocabulary::policy::{POLICIES, Policies, Values, policy};
use crate::vocabulary::similar::suggestion;
use crate::yaml::Problem;
use crate::yaml::checker::Checker;
use crate::yaml::node::{self, Kind, Node};
use crate::yaml::{Source, Span, shape};

/// What a person could take for a name and set, and what is a secret: a command line is seen by
/// every process of the machine, and kept in histories.
const SECRETS: [&str; 12] = [
    "secret.token",
    "secret.value",
    "token",
    "master-key",
    "jwt-secret",
    "jwt.secret",
    "litellm-key",
    "AUTH_JWT_SECRET",
    "LITELLM_MASTER_KEY",
    "secret.master-key-value",
    "HARNESS_AUTH_TOKEN",
    "MASTER_KEY",
];

static SCHEMA: LazyLock<shape::Schema> = LazyLock::new(|| shape::Schema::new(schema()));

/// An installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// All names of [`NAMES`]; the contract's by default.
    pub names: BTreeMap<String, String>,
    /// How roads are reached, if the profile says.
    pub roads: BTreeMap<Road, Way>,
    /// Where secrets come from, if the profile says.
    pub secrets: BTreeMap<Needed, SecretSource>,
    /// The commands that operate it, if it has no Kubernetes.
    pub operations: Operations,
    /// Further logs of it, by names for reports.
    pub logs: BTreeMap<String, LogSource>,
    /// Guarded routes of the agent service beside the contract's, each with a method: `GET /api/agents/usage`.
    pub routes: Vec<String>,
    /// What is declared; nothing else is assumed.
    pub policies: Policies,
}

/// Why something can't be set on top of a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("`{0}` is not NAME=VALUE")]
    NoAssignment(String),
    #[error(
        "`{0}` is a secret, and a command line is no place for one: other processes and the shell's history see it; \
         gauntlet makes up a token and a key for each world, and asks for neither"
    )]
    Secret(String),
    /// What the name or the policy has against the value.
    #[error("{0}")]
    Refused(String),
    #[error("`{0}` is `any`, or a list as `https://a,https://b`")]
    EmptyList(String),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("nothing is called `{name}`; {suggestion}")]
    Unknown { name: String, suggestion: String },
}

impl Default for Profile {
    /// The contract's names, and nothing declared.
    fn default() -> Profile {
        Profile {
            names: names::contract(),
            roads: BTreeMap::new(),
            secrets: BTreeMap::new(),
            operations: Operations::new(),
            logs: BTreeMap::new(),
            routes: Vec::new(),
            policies: Policies::none(),
        }
    }
}

impl Profile {
    /// The reference platform's: the contract's names and the reference's choices.
    pub fn reference() -> Profile {
        Profile {
            policies: Policies::reference(),
            ..Profile::default()
        }
    }

    /// Reads a profile, or returns all its problems.
    pub fn parse(source: &Arc<Source>) -> Result<Profile, Vec<Problem>> {
        let (root, problems) = node::read(source);
        let mut checker = Checker::new(source);
        checker.problems = problems;
        let profile = root.map(|root| read(&root, &mut checker));
        match profile {
            Some(profile) if checker.problems.is_empty() => Ok(profile),
            _ => {
                checker.problems.sort_by_key(|problem| problem.span.start);
                Err(checker.problems)
            }
        }
    }

    /// Overrides one thing: `secret.name=my-env`, `token.precedence=reject`, `road.proxy=https://…`.
    pub fn set(&mut self, assignment: &str) -> Result<(), SettingError> {
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(SettingError::NoAssignment(assignment.to_owned()));
        };
        if SECRETS.contains(&name) {
            return Err(SettingError::Secret(name.to_owned()));
        }
        if self.names.contains_key(name) {
            if let Some(wrong) = refuse_name(name, value) {
                return Err(SettingError::Refused(wrong));
            }
            self.names.insert(name.to_owned(), value.to_owned());
        } else if let Some(policy) = policy(name) {
            if let Some(wrong) = policy.refuse(value) {
                return Err(SettingError::Refused(wrong));
            }
            match policy.values {
                Values::List if value.is_empty() => {
                    return Err(SettingError::EmptyList(name.to_owned()));
                }
                Values::List if value != "any" => {
                    let values = value.split(',').map(|value| value.trim().to_owned());
                    self.policies.declare_list(policy.name, values.collect());
                }
                _ => self.policies.declare(policy.name, value),
            }
        } else if let Some(road) = name.strip_prefix("road.").and_then(Road::named) {
            self.roads.insert(road, way_of(road, value)?);
        } else {
            let roads = Road::ALL.map(|road| format!("road.{}", road.name()));
            let known = NAMES
                .iter()
                .map(|(name, _)| *name)
                .chain(POLICIES.iter().map(|policy| policy.name))
                .chain(roads.iter().map(String::as_str));
            return Err(SettingError::Unknown {
                name: name.to_owned(),
                suggestion: suggestion(name, known, "names"),
            });
        }
        Ok(())
    }

    /// The SHA-256 of all that the profile says, hexadecimal: the same for profiles that mean the same.
    pub fn digest(&self) -> String {
        let roads = self.roads.iter().map(|(road, way)| (road.name(), way.to_string()));
        let secrets = self
            .secrets
            .iter()
            .map(|(needed, source)| (needed.name(), source.to_string()));
        let mut canonical = json!({
            "names": self.names,
            "roads": roads.collect::<BTreeMap<_, _>>(),
            "secrets": secrets.collect::<BTreeMap<_, _>>(),
            "policies": self.policies.to_value(),
        });
        if !self.operations.is_empty() {
            canonical["operations"] = operations::canonical(&self.operations);
        }
        if !self.logs.is_empty() {
            canonical["logs"] = json!(self.logs);
        }
        if !self.routes.is_empty() {
            canonical["routes"] = json!(self.routes);
        }
        let digest = Sha256::digest(canonical.to_string());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where a profile's file says something: `names` and `secret.name`, `roads` and `proxy`.
pub fn locate(source: &Arc<Source>, group: &str, name: &str) -> Option<Span> {
    let (root, _) = node::read(source);
    Some(root?.get(group)?.get(name)?.span)
}

/// Whether a file is a profile, as far as its top says.
pub fn is_profile(source: &Source) -> bool {
    source.text.lines().any(|line| line.trim_end() == "kind: Profile")
}

fn read(root: &Node, checker: &mut Checker) -> Profile {
    shape::check(&SCHEMA, &SCHEMA, root, "a profile", checker);
    let mut profile = Profile::default();
    for (name, value, span) in texts(root, "names") {
        match refuse_name(&name, &value) {
            Some(wrong) => checker.report(span, wrong),
            None => {
                profile.names.insert(name, value);
            }
        }
    }
    for (road, way, span) in texts(root, "roads") {
        // What is unknown was reported with the shape.
        let parsed = match Road::named(&road) {
            Some(road) => way_of(road, &way).map(|way| drop(profile.roads.insert(road, way))),
            None => way.parse().map(|_: Way| ()),
        };
        if let Err(wrong) = parsed {
            checker.report(span, wrong.to_string());
        }
    }
    for needed in Needed::ALL {
        let Some(source) = root.get("secrets").and_then(|secrets| secrets.get(needed.name())) else {
            continue;
        };
        let text = |key| source.get(key).and_then(Node::as_text).map(str::to_owned);
        let source = match (text("env"), text("file")) {
            (Some(name), None) => SecretSource::Env(name),
            (None, Some(path)) => SecretSource::File(path.into()),
            // One of another type was reported with the shape.
            _ if source.as_map().is_none() => continue,
            _ => {
                checker.report(
                    source.span,
                    "a secret comes from `env` or from `file`: one of the two".to_owned(),
                );
                continue;
            }
        };
        profile.secrets.insert(needed, source);
    }
    profile.operations = operations::read(root, checker);
    profile.logs = logs::read(root, checker);
    profile.routes = routes::read(root, checker);
    for (key, value) in root.get("policies").and_then(Node::as_map).unwrap_or_default() {
        // What is unknown was reported with the shape.
        let Some(policy) = policy(&key.name) else { continue };
        match &value.kind {
            Kind::List(items) => {
                let items = items.iter().filter_map(|item| item.as_text().map(str::to_owned));
                profile.policies.declare_list(policy.name, items.collect());
            }
            Kind::Text(text) => match (policy.values, policy.refuse(text)) {
                // Choices are an enumeration of the schema.
                (Values::Duration | Values::DurationOrNone | Values::Pattern, Some(wrong)) => {
                    checker.report(value.span, wrong);
                }
                _ => profile.policies.declare(policy.name, text),
            },
            _ => {}
        }
    }
    profile
}

/// Reads how a road is reached.
fn way_of(road: Road, text: &str) -> Result<Way, AddressError> {
    match text.parse()? {
        Way::Pods if road != Road::Direct => Err(AddressError::Pods(road)),
        way => Ok(way),
    }
}

/// Texts of a map, numbers as they are written.
fn texts(root: &Node, key: &str) -> Vec<(String, String, Span)> {
    let entries = root.get(key).and_then(Node::as_map).unwrap_or_default();
    let text = |node: &Node| match &node.kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Number(number) => Some(number.to_string()),
        _ => None,
    };
    entries
        .iter()
        .filter_map(|(key, value)| Some((key.name.clone(), text(value)?, value.span)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Profile, String> {
        let lines = |problems: Vec<Problem>| problems.iter().map(|p| format!("{p}\n")).collect::<String>();
        Profile::parse(&Source::new("p.yaml", text)).map_err(lines)
    }

    #[test]
    fn names_and_policies() {
        let profile = parse(
            "apiVersion: gauntlet/v1\nkind: Profile\nnames:\n  secret.name: my-env\n  web.port: 8080\n\
             roads: { proxy: https://x.example }\npolicies: { token.precedence: reject, origin: [https://a] }\n",
        )
        .expect("good");
        assert_eq!(profile.names["secret.name"], "my-env");
        assert_eq!(profile.names["web.port"], "8080");
        assert_eq!(profile.names["secret.key"], "HARNESS_AUTH_TOKEN");
        assert_eq!(profile.policies.choice("token.precedence"), Some("reject"));
        assert_eq!(profile.policies.choice("origin"), Some("listed"));
        assert_eq!(profile.policies.choice("token.scope"), None);
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let problems = parse(
            "apiVersion: gauntlet/v1\nkind: Profile\nnames: { secret.nam: x, web.port: http }\n\
             roads: { proxy: nowhere }\npolicies: { token.precedence: query-win, balancer.idle-timeout: soon }\n",
        )
        .expect_err("problems");
        let want = "\
p.yaml:3:10: `names` has no key `secret.nam`; did you mean `secret.name`?
p.yaml:3:35: `web.port` is a port from 1 to 65535, not `http`
p.yaml:4:17: `nowhere` isn't an address such as `https://platform.example`, `port-forward` or `none`
p.yaml:5:31: `token.precedence` must be `header-wins`, `query-wins` or `reject`, not `query-win`; did you mean `query-wins`?
p.yaml:5:65: `balancer.idle-timeout` is a number of up to nine digits and `us`, `ms`, `s` or `m`, as `500ms` or `30s`, not `soon`
";
        assert_eq!(problems, want);
    }

    #[test]
    fn only_the_road_to_pods_leads_to_each() {
        let head = "apiVersion: gauntlet/v1\nkind: Profile\n";
        let profile = parse(&format!("{head}roads: {{ direct: pods }}\n")).expect("good");
        assert_eq!(profile.roads[&Road::Direct], Way::Pods);
        let wrong = parse(&format!("{head}roads: {{ proxy: pods }}\n")).expect_err("one address");
        assert!(wrong.contains("`pods` is only for the road `direct`"), "{wrong}");
    }

    #[test]
    fn overrides() {
        let mut profile = Profile::reference();
        assert_eq!(profile.set("secret.name=x"), Ok(()));
        assert_eq!(profile.set("token.scope=session"), Ok(()));
        assert_eq!(profile.set("road.proxy=http://127.0.0.1:1"), Ok(()));
        assert_eq!(profile.names["secret.name"], "x");
        let near = profile.set("secret.nmae=x").expect_err("unknown");
        assert_eq!(
            near.to_string(),
            "nothing is called `secret.nmae`; did you mean `secret.name`?"
        );
        assert!(profile.set("token.scope=x").is_err());
        assert!(profile.set("x").is_err());
        assert!(profile.set("api.path=/api/").is_err());
        assert_eq!(profile.set("origin=https://a, https://b"), Ok(()));
        let listed = ["https://a".to_owned(), "https://b".to_owned()];
        assert_eq!(profile.policies.list("origin"), Some(&listed[..]));
        assert_eq!(profile.set("origin=any"), Ok(()));
        assert_eq!(profile.policies.choice("origin"), Some("any"));
    }

    #[test]
    fn no_secret_is_taken_or_repeated() {
        for name in SECRETS {
            let refused = Profile::reference()
                .set(&format!("{name}=abc123"))
                .expect_err("a secret")
                .to_string();
            assert!(
                refused.contains("is a secret") && !refused.contains("abc123"),
                "{refused}"
            );
            assert!(!NAMES.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn the_digest_is_of_the_meaning() {
        let digest = |text: &str| parse(text).expect("good").digest();
        let head = "apiVersion: gauntlet/v1\nkind: Profile\n";
        let one = digest(&format!("{head}policies: {{ tty.enter: yes, token.scope: session }}\n"));
        let other = format!(
            "{head}# in another order, and with the contract's own name\n\
             names: {{ secret.key: HARNESS_AUTH_TOKEN }}\npolicies: {{ token.scope: session, tty.enter: \"yes\" }}\n"
        );
        assert_eq!(one, digest(&other));
        assert_eq!(one.len(), 64);
        assert_ne!(one, digest(head));
        assert_ne!(digest(head), Profile::reference().digest());
    }
}
