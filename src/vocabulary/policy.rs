//! Policies: choices that a contract leaves open.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use regex::Regex;
use serde_json::{Value, json};

use super::duration;

/// A named choice that a contract leaves open.
#[derive(Debug, PartialEq, Eq)]
pub struct Policy {
    pub name: &'static str,
    pub values: Values,
    /// What the reference platform does.
    pub reference: &'static str,
    pub meaning: &'static str,
}

/// What a policy can be declared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of these.
    Choices(&'static [&'static str]),
    /// `any`, or a list of texts. For a check: `any` or `listed`.
    List,
    /// A length of time. Nothing that a check could choose by; templates name its seconds.
    Duration,
    /// A length of time, or `none`: no seconds.
    DurationOrNone,
    /// A regular expression with one group. Nothing that a check could choose by; templates name it.
    Pattern,
}

/// The declared value for: no time limit.
const NONE: &str = "none";

impl Policy {
    /// The choices that a check gives a claim for; empty if it can't choose by this policy.
    pub fn choices(&self) -> &'static [&'static str] {
        match self.values {
            Values::Choices(choices) => choices,
            Values::List => &["any", "listed"],
            Values::Duration | Values::DurationOrNone | Values::Pattern => &[],
        }
    }

    /// What templates get of a declared value; none if they get nothing, since checks choose by it.
    pub fn in_templates(&self, declared: &str) -> Option<Value> {
        match self.values {
            Values::Choices(_) | Values::List => None,
            Values::DurationOrNone if declared == NONE => Some(json!(0.0)),
            Values::Duration | Values::DurationOrNone => Some(json!(duration::parse(declared)?.as_secs_f64())),
            Values::Pattern => Some(json!(declared)),
        }
    }

    /// Why a declared value isn't valid for the policy.
    pub fn refuse(&self, value: &str) -> Option<String> {
        match self.values {
            Values::Choices(choices) if !choices.contains(&value) => {
                Some(format!("`{}` is {}, not `{value}`", self.name, choices.join(" or ")))
            }
            Values::DurationOrNone if value == NONE => None,
            Values::DurationOrNone if duration::parse(value).is_none() => Some(format!(
                "`{}` is `{NONE}`, or {}, not `{value}`",
                self.name,
                duration::FORM
            )),
            Values::Duration if duration::parse(value).is_none() => {
                Some(format!("`{}` is {}, not `{value}`", self.name, duration::FORM))
            }
            // What it is, and the group.
            Values::Pattern if Regex::new(value).is_ok_and(|pattern| pattern.captures_len() == 2) => None,
            Values::Pattern => Some(format!(
                "`{}` is a regular expression with one group, not `{value}`",
                self.name
            )),
            _ => None,
        }
    }
}

/// The policy of that name.
pub fn policy(name: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.name == name)
}

/// All policies, in the order of the contracts.
pub const POLICIES: &[Policy] = &[
    Policy {
        name: "token.precedence",
        values: Values::Choices(&["header-wins", "query-wins", "reject"]),
        reference: "query-wins",
        meaning: "which token counts when header and query disagree",
    },
    Policy {
        name: "token.scope",
        values: Values::Choices(&["platform", "session"]),
        reference: "platform",
        meaning: "what a token opens: every session, or its own",
    },
    Policy {
        name: "token.duplicates",
        values: Values::Choices(&["first", "last", "reject"]),
        reference: "first",
        meaning: "which token counts when the query has several",
    },
    Policy {
        name: "token.plus",
        values: Values::Choices(&["literal", "space"]),
        reference: "literal",
        meaning: "what a plus in the query stands for: itself (RFC 3986), or a space, as in a form",
    },
    Policy {
        name: "rotation.open-terminals",
        values: Values::Choices(&["kept", "closed"]),
        reference: "kept",
        meaning: "what happens to terminals that are open when the token is rotated",
    },
    Policy {
        name: "rotation.direct-old-token",
        values: Values::Choices(&["refused", "accepted"]),
        reference: "accepted",
        meaning: "whether an old pod still accepts the old token directly, until it is restarted",
    },
    Policy {
        name: "origin",
        values: Values::List,
        reference: "any",
        meaning: "the origins whose pages may open a terminal",
    },
    Policy {
        name: "shared-terminal",
        values: Values::Choices(&["yes", "no"]),
        reference: "yes",
        meaning: "whether all clients of a pod share one terminal",
    },
    Policy {
        name: "balancer.strips-authorization",
        values: Values::Choices(&["yes", "no"]),
        reference: "yes",
        meaning: "whether the balancer strips `Authorization` from upgrades",
    },
    Policy {
        name: "balancer.idle-timeout",
        values: Values::Duration,
        reference: "1s",
        meaning: "how long the balancer keeps a quiet connection open",
    },
    Policy {
        name: "request.head-timeout",
        values: Values::Duration,
        reference: "1s",
        meaning: "how long a client may take for a request's head before its connection is closed",
    },
    Policy {
        name: "tty.enter",
        values: Values::Choices(&["yes", "no"]),
        reference: "yes",
        meaning: "whether checks may press Enter in a terminal: an agent there might answer, and cost money",
    },
    Policy {
        name: "ws.refusal",
        values: Values::Choices(&["401", "101-error-close"]),
        reference: "401",
        meaning: "how the agent service itself refuses a conversation",
    },
    Policy {
        name: "ws.open",
        values: Values::Choices(&["kept", "closed"]),
        reference: "kept",
        meaning: "what happens to open conversations when the user's role or the signing secret changes",
    },
    Policy {
        name: "jwt.algorithms",
        values: Values::Choices(&["HS256", "HMAC"]),
        reference: "HS256",
        meaning: "which algorithms may sign a JWT: only HS256, or also HS384 and HS512",
    },
    Policy {
        name: "jwt.leeway",
        values: Values::DurationOrNone,
        reference: "30s",
        meaning: "the allowed clock skew: how long a JWT is accepted after it expired",
    },
    Policy {
        name: "jwt.iat",
        values: Values::Choices(&["ignored", "checked"]),
        reference: "ignored",
        meaning: "whether a JWT issued in the future (iat) is refused",
    },
    Policy {
        name: "jwt.iss",
        values: Values::Choices(&["ignored", "checked"]),
        reference: "ignored",
        meaning: "whether a JWT of another issuer (iss) is refused",
    },
    Policy {
        name: "jwt.typ",
        values: Values::Choices(&["ignored", "checked"]),
        reference: "ignored",
        meaning: "whether a JWT with another typ in its header is refused",
    },
    Policy {
        name: "token.two-places",
        values: Values::Choices(&["reject", "header", "query"]),
        reference: "reject",
        meaning: "which of two JWTs counts, one in the header and one in the query",
    },
    Policy {
        name: "role.missing",
        values: Values::Choices(&["401", "403"]),
        reference: "403",
        meaning: "how access control answers a valid JWT without a role",
    },
    Policy {
        name: "ws.idle",
        values: Values::Duration,
        reference: "2s",
        meaning: "how long a conversation may be quiet and still stays open",
    },
    Policy {
        name: "body.large",
        values: Values::Choices(&["accepted", "refused"]),
        reference: "accepted",
        meaning: "whether a gateway lets a body of 100 KB through",
    },
    Policy {
        name: "rotation.interval",
        values: Values::Duration,
        reference: "1s",
        meaning: "how long a codex account is used before the next one's turn",
    },
    Policy {
        name: "rotation.poll",
        values: Values::Duration,
        reference: "100ms",
        meaning: "how often the rotator looks at logins and signals",
    },
    Policy {
        name: "signal.max-age",
        values: Values::Duration,
        reference: "120s",
        meaning: "how old a signal to rotate may be and still count",
    },
    Policy {
        name: "park.usage-cap",
        values: Values::Duration,
        reference: "180m",
        meaning: "how long an account is parked after a usage cap",
    },
    Policy {
        name: "park.transient",
        values: Values::Duration,
        reference: "5m",
        meaning: "how long an account is parked after a transient 429",
    },
    Policy {
        name: "env-fallback",
        values: Values::Choices(&["yes", "no"]),
        reference: "yes",
        meaning: "whether tokens from the environment are used if there is no login",
    },
    Policy {
        name: "log.active",
        values: Values::Pattern,
        reference: "active account-([0-9]+)",
        meaning: "what the rotator logs about the active account; the group is its number",
    },
    Policy {
        name: "auth-file.mode",
        values: Values::Choices(&["0600", "0640"]),
        reference: "0600",
        meaning: "who may read a login's file",
    },
    Policy {
        name: "readiness.with-dead-logins",
        values: Values::Choices(&["ready", "not-ready"]),
        reference: "ready",
        meaning: "whether LiteLLM is ready without a usable login",
    },
];

/// The policies that a profile declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies(IndexMap<String, Declared>);

/// A declared value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Declared {
    One(String),
    List(Vec<String>),
}

impl Policies {
    /// None declared: what is known of a platform without a profile.
    pub fn none() -> Policies {
        Policies::default()
    }

    /// The reference platform's.
    pub fn reference() -> Policies {
        let mut policies = Policies::default();
        for policy in POLICIES {
            policies.declare(policy.name, policy.reference);
        }
        policies
    }

    pub fn declare(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), Declared::One(value.to_owned()));
    }

    pub fn declare_list(&mut self, name: &str, values: Vec<String>) {
        self.0.insert(name.to_owned(), Declared::List(values));
    }

    /// The choice declared for a policy: a list counts as `listed`.
    pub fn choice(&self, name: &str) -> Option<&str> {
        Some(match self.0.get(name)? {
            Declared::One(value) => value,
            Declared::List(_) => "listed",
        })
    }

    /// The texts of a policy that was declared as a list.
    pub fn list(&self, name: &str) -> Option<&[String]> {
        match self.0.get(name)? {
            Declared::List(values) => Some(values),
            Declared::One(_) => None,
        }
    }

    /// Names and declared values, in the order of the names.
    pub fn to_value(&self) -> Value {
        let sorted: BTreeMap<&str, Value> = self
            .0
            .iter()
            .map(|(name, declared)| {
                let value = match declared {
                    Declared::One(value) => json!(value),
                    Declared::List(values) => json!(values),
                };
                (name.as_str(), value)
            })
            .collect();
        json!(sorted)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What templates name, as `policies.rotation.interval`: lengths of time in seconds, and patterns.
    pub fn in_templates(&self) -> Value {
        let mut groups: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
        for policy in POLICIES {
            let value = self
                .choice(policy.name)
                .and_then(|declared| policy.in_templates(declared));
            if let (Some(value), Some((group, leaf))) = (value, policy.name.split_once('.')) {
                groups.entry(group).or_default().insert(leaf, value);
            }
        }
        json!(groups)
    }
}

#[cfg(test)]
mod tests;
