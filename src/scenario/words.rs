//! Expectations and observations in words.

use serde_json::Value;

use super::field::Found;
use super::model::{Claim, Predicate};
use super::phrase;
use super::predicate::count;
use crate::steps;

/// Longest value shown whole, in characters.
const SHOWN: usize = 120;

/// Fields that are yes or no, said as what they are: the field, yes, no.
const SPOKEN: &[(&str, &str, &str)] = &[
    ("opened", "an open terminal", "no open terminal"),
    (
        "works",
        "a screen that shows what was typed",
        "no screen that shows what was typed",
    ),
    ("open", "an open connection", "a closed connection"),
    (
        "closed",
        "a connection closed by the other side",
        "a connection left open",
    ),
    ("exists", "that it is there", "that it is not there"),
    ("answered", "an answer", "no answer"),
    ("done", "that it was carried out", "that it was not carried out"),
];

/// A field with its value: `status 101`, `an open terminal`.
pub fn field(path: &str, value: &Value) -> String {
    if let Value::Bool(b) = value
        && let Some((_, yes, no)) = SPOKEN.iter().find(|(field, ..)| *field == path)
    {
        return if *b { yes } else { no }.to_string();
    }
    format!("{path} {}", short(value))
}

/// What was found at a path.
pub fn found(path: &str, found: &Found<'_>) -> String {
    match found {
        Found::Value(value) => field(path, value),
        Found::Absent => match SPOKEN.iter().find(|(field, ..)| *field == path) {
            Some((_, _, no)) => (*no).to_owned(),
            None => format!("no {path}"),
        },
        Found::Unknown(missing) => format!("no {missing}, so nothing is known of {path}"),
    }
}

/// What was found at a path, for a reader of what was expected: a number of elements where
/// their number was the question.
pub fn found_for(path: &str, found: &Found<'_>, predicate: &Predicate) -> String {
    match (predicate, found) {
        (Predicate::Count(_), Found::Value(value)) => match count(value) {
            Some(n) => format!("{path} with {}: {}", elements(&n.to_string()), short(value)),
            None => field(path, value),
        },
        (Predicate::Not(inner), _) => found_for(path, found, inner),
        _ => self::found(path, found),
    }
}

/// What is expected of a field: `status 401 or 400`.
pub fn expected(path: &str, predicate: &Predicate) -> String {
    match predicate {
        Predicate::Equals(value) => field(path, value),
        Predicate::Absent => format!("no {path}"),
        Predicate::Present => format!("{path}, whatever its value"),
        Predicate::All(items) => join(items.iter().map(|p| expected(path, p)), " and "),
        Predicate::Any(items) => join(items.iter().map(|p| expected(path, p)), " or "),
        Predicate::OneOf(values) => {
            format!("{path} {}", join(values.iter().map(short), " or "))
        }
        Predicate::Not(inner) => match inner.as_ref() {
            Predicate::Equals(value) => format!("{path} other than {}", short(value)),
            Predicate::Contains(value) => format!("{path} without {}", short(value)),
            Predicate::Matches(pattern) => format!("{path} not matching /{pattern}/"),
            Predicate::Null => format!("{path} other than null"),
            inner => format!("not: {}", expected(path, inner)),
        },
        Predicate::Matches(pattern) => format!("{path} matching /{pattern}/"),
        Predicate::Contains(value) => format!("{path} containing {}", short(value)),
        Predicate::Null => format!("{path} null"),
        Predicate::LessThan(value) => format!("{path} less than {}", short(value)),
        Predicate::AtLeast(value) => format!("{path} at least {}", short(value)),
        Predicate::Count(value) => format!("{path} with {}", elements(&short(value))),
    }
}

/// What a claim of a verb's step asks for, a line for each choice of a policy.
pub fn claim(claim: &Claim, verb: &str) -> Vec<String> {
    let one = |claim: &Claim| self::claim(claim, verb).join(", and ");
    match claim {
        Claim::Phrase(said) => {
            let text = &said.text;
            let meaning = steps::verb(verb).and_then(|verb| phrase::recognise(verb, text));
            vec![match meaning {
                Some(phrase) if phrase.meaning != text => format!("{text}: {}", phrase.meaning),
                _ => text.clone(),
            }]
        }
        Claim::Fields(fields) => vec![and(fields.iter().map(|(path, predicate)| expected(path, predicate)))],
        Claim::Policy { name, choices } => choices
            .iter()
            .map(|(choice, claim)| format!("where {name} is {choice}: {}", one(claim)))
            .collect(),
        Claim::Facts(fields) => fields
            .iter()
            .map(|(name, path)| format!("{name}, from {path}"))
            .collect(),
    }
}

/// Parts joined by `and`; without parts, nothing in particular.
pub fn and(parts: impl IntoIterator<Item = String>) -> String {
    join(parts.into_iter(), " and ")
}

fn join(parts: impl Iterator<Item = String>, between: &str) -> String {
    let parts: Vec<String> = parts.collect();
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join(between),
    }
}

fn elements(n: &str) -> String {
    match n {
        "0" => "no elements".to_owned(),
        "1" => "1 element".to_owned(),
        n => format!("{n} elements"),
    }
}

/// A value on one line, its middle left out where it is long.
pub fn short(value: &Value) -> String {
    let text = value.to_string();
    let length = text.chars().count();
    if length <= SHOWN {
        return text;
    }
    let head: String = text.chars().take(SHOWN * 2 / 3).collect();
    let tail: String = text.chars().skip(length - SHOWN / 4).collect();
    format!("{head}…{tail} ({length} characters)")
}
