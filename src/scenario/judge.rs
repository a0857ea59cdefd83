//! Judges whether an expectation holds for an observation, and describes the result.

use indexmap::IndexMap;
use serde_json::Value;

use super::field::{FieldPath, Found};
use super::model::{Claim, Predicate, Said};
use super::phrase;
use super::predicate::Truth;
use super::words;
use crate::steps::Verb;
use crate::template::Scope;
use crate::template::{TemplateError, render_string};
use crate::vocabulary::policy::Policies;

/// Most elements of a list that a judgement tells of.
const SHOWN_ELEMENTS: usize = 3;

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub holds: bool,
    /// What was expected, of the fields that did not hold; of all where all hold.
    pub expected: String,
    /// What was seen, of the same fields.
    pub got: String,
}

/// Why a claim can't be judged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JudgeError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The check is skipped, and what was observed is a fact.
    #[error("policy {policy} not declared")]
    Undeclared {
        policy: String,
        /// The choices whose claims hold of what was observed.
        observed: Vec<String>,
    },
    #[error("policy {policy} is declared as {choice}, for which the check has no expectation")]
    NoSuchChoice { policy: String, choice: String },
    #[error("`{phrase}` isn't a phrase of `{verb}`")]
    Phrase { phrase: String, verb: &'static str },
    #[error("`{path}` isn't a field path: {message}")]
    Path { path: String, message: &'static str },
    #[error("not a regular expression: {0}")]
    Pattern(#[from] regex::Error),
}

/// Judges a claim of a step of `verb` by what the step observed.
pub fn judge(
    claim: &Claim,
    verb: &Verb,
    observation: &Value,
    scope: &Scope,
    policies: &Policies,
) -> Result<Judgement, JudgeError> {
    match claim {
        Claim::Phrase(Said {
            fields: Some(fields), ..
        }) => judge_fields(fields, observation),
        Claim::Phrase(Said { text, fields: None }) => {
            let text = render_string(text, scope)?;
            let fields = phrase::fields(verb, &text).ok_or(JudgeError::Phrase {
                phrase: text,
                verb: verb.name,
            })?;
            judge_fields(&fields, observation)
        }
        Claim::Fields(fields) => {
            let rendered: Result<IndexMap<String, Predicate>, TemplateError> = fields
                .iter()
                .map(|(path, predicate)| Ok((path.clone(), predicate.render(scope)?)))
                .collect();
            judge_fields(&rendered?, observation)
        }
        Claim::Policy { name, choices } => {
            let Some(declared) = policies.choice(name) else {
                let mut observed = Vec::new();
                for (choice, claim) in choices {
                    if judge(claim, verb, observation, scope, policies)?.holds {
                        observed.push(choice.clone());
                    }
                }
                return Err(JudgeError::Undeclared {
                    policy: name.clone(),
                    observed,
                });
            };
            let claim = choices.get(declared).ok_or_else(|| JudgeError::NoSuchChoice {
                policy: name.clone(),
                choice: declared.to_owned(),
            })?;
            let mut judgement = judge(claim, verb, observation, scope, policies)?;
            judgement.expected = format!("{} ({name}: {declared})", judgement.expected);
            Ok(judgement)
        }
        Claim::Facts(fields) => {
            let facts = facts(fields, observation)?;
            Ok(Judgement {
                holds: true,
                expected: "nothing in particular".to_owned(),
                got: words::and(facts.iter().map(|(name, value)| words::field(name, value))),
            })
        }
    }
}

/// The values of a [`Claim::Facts`], null where a field isn't there.
pub fn facts(fields: &IndexMap<String, String>, observation: &Value) -> Result<Vec<(String, Value)>, JudgeError> {
    let mut facts = Vec::new();
    for (name, path) in fields {
        let mut values: Vec<Value> = parse_path(path)?
            .find(observation)
            .into_iter()
            .map(|(_, found)| match found {
                Found::Value(value) => value.clone(),
                Found::Absent | Found::Unknown(_) => Value::Null,
            })
            .collect();
        let value = match (values.len(), path.contains("[*]")) {
            (1, false) => values.remove(0),
            _ => Value::Array(values),
        };
        facts.push((name.clone(), value));
    }
    Ok(facts)
}

fn parse_path(path: &str) -> Result<FieldPath, JudgeError> {
    FieldPath::parse(path).map_err(|message| JudgeError::Path {
        path: path.to_owned(),
        message,
    })
}

fn judge_fields(fields: &IndexMap<String, Predicate>, observation: &Value) -> Result<Judgement, JudgeError> {
    let (mut good, mut bad) = (Sides::default(), Sides::default());
    for (path, predicate) in fields {
        let mut failed = Vec::new();
        let mut held = Vec::new();
        for (at, found) in parse_path(path)?.find(observation) {
            let words = words::found_for(&at, &found, predicate);
            match predicate.test(&found)? {
                Truth::Holds => held.push(words),
                Truth::Fails | Truth::Unknown => failed.push(words),
            }
        }
        let (side, seen) = match failed.is_empty() {
            true => (&mut good, held),
            false => (&mut bad, failed),
        };
        side.expected.push(words::expected(path, predicate));
        let more = seen.len().saturating_sub(SHOWN_ELEMENTS);
        side.got.extend(seen.into_iter().take(SHOWN_ELEMENTS));
        if more > 0 {
            side.got.push(format!("{more} more"));
        }
    }
    let holds = bad.expected.is_empty();
    let side = if holds { good } else { bad };
    Ok(Judgement {
        holds,
        expected: words::and(side.expected),
        got: words::and(side.got),
    })
}

#[derive(Default)]
struct Sides {
    expected: Vec<String>,
    got: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::verb;
    use serde_json::json;

    fn judged(name: &str, text: &str, observation: Value) -> Judgement {
        let verb = verb(name).expect("a verb");
        let claim = Claim::Phrase(phrase::said(verb, text));
        judge(&claim, verb, &observation, &Scope::new(1), &Policies::none()).expect("judged")
    }

    #[test]
    fn a_wrong_101_is_told_as_such() {
        let got = judged(
            "attach",
            "refused 401",
            json!({"opened": true, "works": true, "status": 101}),
        );
        assert!(!got.holds);
        assert_eq!(got.expected, "no open terminal and status 401");
        assert_eq!(got.got, "an open terminal and status 101");
    }

    #[test]
    fn only_what_did_not_hold_is_told() {
        let got = judged("attach", "refused 400 or 401", json!({"opened": false, "status": 500}));
        assert_eq!(got.expected, "status 400 or 401");
        assert_eq!(got.got, "status 500");
        let got = judged("attach", "refused 401", json!({"opened": false}));
        assert_eq!(got.got, "no status");
    }

    #[test]
    fn each_element_must_hold_and_there_must_be_one() {
        let fields = IndexMap::from([("items[*].ready".to_owned(), Predicate::Equals(json!(true)))]);
        let claim = Claim::Fields(fields);
        let judge = |observation: Value| {
            let pods = verb("pods").expect("a verb");
            judge(&claim, pods, &observation, &Scope::new(1), &Policies::none()).expect("judged")
        };
        assert!(judge(json!({"items": [{"ready": true}]})).holds);
        let got = judge(json!({"items": [{"ready": true}, {"ready": false}]}));
        assert_eq!((got.holds, got.got.as_str()), (false, "items[1].ready false"));
        assert!(!judge(json!({"items": []})).holds);
    }

    #[test]
    fn a_policy_is_judged_by_its_declaration() {
        let attach = verb("attach").expect("a verb");
        let claim = Claim::Policy {
            name: "token.precedence".to_owned(),
            choices: IndexMap::from([
                (
                    "query-wins".to_owned(),
                    Claim::Phrase(phrase::said(attach, "refused 401")),
                ),
                ("header-wins".to_owned(), Claim::Phrase(phrase::said(attach, "opens"))),
            ]),
        };
        let observation = json!({"opened": true, "works": true, "status": 101});
        let judge = |policies: &Policies| judge(&claim, attach, &observation, &Scope::new(1), policies);
        let judgement = judge(&Policies::reference()).expect("judged");
        assert!(!judgement.holds);
        assert!(judgement.expected.ends_with("(token.precedence: query-wins)"));
        assert_eq!(
            judge(&Policies::none()),
            Err(JudgeError::Undeclared {
                policy: "token.precedence".to_owned(),
                observed: vec!["header-wins".to_owned()],
            })
        );
    }

    #[test]
    fn a_phrase_is_read_once_unless_it_is_a_template() {
        let attach = verb("attach").expect("a verb");
        let mut scope = Scope::new(1);
        scope.set("status", json!(401));
        let refused = json!({"opened": false, "status": 401});
        for (text, is_read) in [("refused 401", true), ("refused ${status}", false)] {
            let said = phrase::said(attach, text);
            assert_eq!(said.fields.is_some(), is_read, "{text}");
            let claim = Claim::Phrase(said);
            let judgement = judge(&claim, attach, &refused, &scope, &Policies::none());
            assert!(judgement.expect("judged").holds, "{text}");
        }
    }

    #[test]
    fn operands_are_templates() {
        let fields = IndexMap::from([("body.tty_token".to_owned(), Predicate::Equals(json!("${secret.token}")))]);
        let mut scope = Scope::new(1);
        scope.set("secret", json!({"token": "t"}));
        let http = verb("http").expect("a verb");
        let observation = json!({"body": {"tty_token": "t"}});
        let judgement = judge(&Claim::Fields(fields), http, &observation, &scope, &Policies::none());
        assert!(judgement.expect("judged").holds);
    }
}
