//! What is expected of one value, and whether it holds.
//!
//! A field can be **there** (null is a value like any other), **absent** (what would hold it
//! was observed and doesn't have it: `body` is a map without `tty_token`), or **unknown** (what
//! would hold it is not there itself, or is no map or list). Nothing is ever true of an unknown
//! field, not even `absent` or a `not`: a verdict must rest on something observed. Of an absent
//! field only `absent` is true; `not: 5` is not, since there was no value to be another one.
//! The same goes for comparing what can't be compared, as a text with a number.

use regex::Regex;
use serde_json::Value;

use super::field::Found;
use super::model::Predicate;
use crate::template::Scope;
use crate::template::{TemplateError, render, render_string};

/// Operators of a predicate, with what they mean.
pub const OPERATORS: &[(&str, &str)] = &[
    ("equals", "The same value; numbers compare as numbers."),
    (
        "not",
        "Another value than this one, or a predicate that must not hold. An absent field doesn't satisfy it.",
    ),
    ("one-of", "One of these values."),
    ("matches", "A regular expression that is found in the text."),
    ("contains", "A part of a text, an element of a list, a key of a map."),
    ("absent", "`true`: the field is not there, while what would hold it is."),
    ("present", "`true`: the field is there, whatever its value."),
    ("null", "`true`: the field is there and null."),
    ("less-than", "A smaller number."),
    ("at-least", "This number or a greater one."),
    (
        "count",
        "The number of elements of a list, keys of a map, characters of a text.",
    ),
    ("any", "At least one of these predicates holds."),
];

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    Holds,
    Fails,
    /// Nothing was observed that could say so.
    Unknown,
}

impl Truth {
    fn of(holds: bool) -> Truth {
        if holds { Truth::Holds } else { Truth::Fails }
    }

    fn not(self) -> Truth {
        match self {
            Truth::Holds => Truth::Fails,
            Truth::Fails => Truth::Holds,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

impl Predicate {
    /// The predicate with its operands' templates filled in.
    pub fn render(&self, scope: &Scope) -> Result<Predicate, TemplateError> {
        let value = |v: &Value| render(v, scope);
        let all = |items: &[Predicate]| -> Result<Vec<Predicate>, TemplateError> {
            items.iter().map(|p| p.render(scope)).collect()
        };
        Ok(match self {
            Predicate::Equals(v) => Predicate::Equals(value(v)?),
            Predicate::Not(p) => Predicate::Not(Box::new(p.render(scope)?)),
            Predicate::OneOf(items) => {
                let items: Result<Vec<Value>, TemplateError> = items.iter().map(value).collect();
                Predicate::OneOf(items?)
            }
            Predicate::Matches(pattern) => Predicate::Matches(render_string(pattern, scope)?),
            Predicate::Contains(v) => Predicate::Contains(value(v)?),
            Predicate::Absent => Predicate::Absent,
            Predicate::Present => Predicate::Present,
            Predicate::Null => Predicate::Null,
            Predicate::LessThan(v) => Predicate::LessThan(value(v)?),
            Predicate::AtLeast(v) => Predicate::AtLeast(value(v)?),
            Predicate::Count(v) => Predicate::Count(value(v)?),
            Predicate::All(items) => Predicate::All(all(items)?),
            Predicate::Any(items) => Predicate::Any(all(items)?),
        })
    }

    /// Whether it holds of what was found; templates must have been filled in. A regular
    /// expression that is none is an error.
    pub fn test(&self, found: &Found<'_>) -> Result<Truth, regex::Error> {
        use std::cmp::Ordering;
        let value = match found {
            Found::Value(value) => Some(*value),
            Found::Absent | Found::Unknown(_) => None,
        };
        let compare = |operand: &Value, want: fn(Ordering) -> bool| match value.and_then(|v| compare(v, operand)) {
            Some(ordering) => Truth::of(want(ordering)),
            None => Truth::Unknown,
        };
        let of_value = |holds: fn(&Value, &Value) -> bool, operand: &Value| match value {
            Some(value) => Truth::of(holds(value, operand)),
            None => Truth::Unknown,
        };
        Ok(match self {
            Predicate::Absent | Predicate::Present => {
                let present = match found {
                    Found::Value(_) => Truth::Holds,
                    Found::Absent => Truth::Fails,
                    Found::Unknown(_) => Truth::Unknown,
                };
                if *self == Predicate::Present {
                    present
                } else {
                    present.not()
                }
            }
            Predicate::Null => of_value(same, &Value::Null),
            Predicate::Equals(operand) => of_value(same, operand),
            Predicate::OneOf(items) => match value {
                Some(value) => Truth::of(items.iter().any(|item| same(value, item))),
                None => Truth::Unknown,
            },
            Predicate::Matches(pattern) => {
                let pattern = Regex::new(pattern)?;
                match value.and_then(scalar_text) {
                    Some(text) => Truth::of(pattern.is_match(&text)),
                    None => Truth::Unknown,
                }
            }
            Predicate::Contains(operand) => match value.and_then(|v| contains(v, operand)) {
                Some(holds) => Truth::of(holds),
                None => Truth::Unknown,
            },
            Predicate::Count(operand) => match (value.and_then(count), operand.as_u64()) {
                (Some(count), Some(operand)) => Truth::of(count as u64 == operand),
                _ => Truth::Unknown,
            },
            Predicate::LessThan(v) => compare(v, |o| o == Ordering::Less),
            Predicate::AtLeast(v) => compare(v, |o| o != Ordering::Less),
            Predicate::Not(inner) => inner.test(found)?.not(),
            Predicate::All(items) => all(items.iter().map(|p| p.test(found)))?,
            // "Some hold" is "not all fail".
            Predicate::Any(items) => all(items.iter().map(|p| p.test(found).map(Truth::not)))?.not(),
        })
    }
}

/// All hold; one that fails settles it, one that is unknown leaves it open.
fn all(truths: impl Iterator<Item = Result<Truth, regex::Error>>) -> Result<Truth, regex::Error> {
    let mut result = Truth::Holds;
    for truth in truths {
        match truth? {
            Truth::Holds => {}
            Truth::Fails => result = Truth::Fails,
            Truth::Unknown if result == Truth::Holds => result = Truth::Unknown,
            Truth::Unknown => {}
        }
    }
    Ok(result)
}

/// Equality in which 1 and 1.0 are the same.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => compare(a, b).is_some_and(|o| o.is_eq()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// The order of two numbers, or of two texts.
fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let whole = |n: &serde_json::Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
            match (whole(a), whole(b)) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
            }
        }
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn contains(value: &Value, operand: &Value) -> Option<bool> {
    match (value, operand) {
        (Value::String(text), Value::String(part)) => Some(text.contains(part.as_str())),
        (Value::Array(items), operand) => Some(items.iter().any(|item| same(item, operand))),
        (Value::Object(map), Value::String(key)) => Some(map.contains_key(key)),
        _ => None,
    }
}

pub(super) fn count(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(map) => Some(map.len()),
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    }
}

/// The text of what is one value: numbers and booleans as JSON writes them.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn test(predicate: &Predicate, value: &Value) -> Truth {
        predicate.test(&Found::Value(value)).expect("a good pattern")
    }

    #[test]
    fn numbers_compare_as_numbers() {
        assert_eq!(test(&Predicate::Equals(json!(1)), &json!(1.0)), Truth::Holds);
        assert_eq!(test(&Predicate::LessThan(json!(1.5)), &json!(1)), Truth::Holds);
        assert_eq!(test(&Predicate::LessThan(json!(5)), &json!("4")), Truth::Unknown);
    }

    #[test]
    fn absence_rests_on_something_observed() {
        let not = Predicate::Not(Box::new(Predicate::Equals(json!(5))));
        let unknown = Found::Unknown("body".to_owned());
        assert_eq!(Predicate::Absent.test(&Found::Absent), Ok(Truth::Holds));
        assert_eq!(Predicate::Absent.test(&unknown), Ok(Truth::Unknown));
        assert_eq!(not.test(&Found::Absent), Ok(Truth::Unknown));
        assert_eq!(Predicate::Null.test(&Found::Absent), Ok(Truth::Unknown));
        assert_eq!(test(&Predicate::Absent, &Value::Null), Truth::Fails);
        let either = Predicate::Any(vec![Predicate::Equals(json!(5)), Predicate::Absent]);
        assert_eq!(either.test(&Found::Absent), Ok(Truth::Holds));
        assert_eq!(either.test(&unknown), Ok(Truth::Unknown));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-5i64..5).prop_map(Value::from),
            (-2.0..2.0f64).prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("[a-c]", inner, 0..3).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    fn predicate() -> impl Strategy<Value = Predicate> {
        let leaf = prop_oneof![
            value().prop_map(Predicate::Equals),
            prop::collection::vec(value(), 0..3).prop_map(Predicate::OneOf),
            "[a-c]{0,2}".prop_map(Predicate::Matches),
            value().prop_map(Predicate::Contains),
            Just(Predicate::Absent),
            Just(Predicate::Present),
            Just(Predicate::Null),
            value().prop_map(Predicate::LessThan),
            value().prop_map(Predicate::AtLeast),
            (0u64..3).prop_map(|n| Predicate::Count(n.into())),
        ];
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|p| Predicate::Not(Box::new(p))),
                prop::collection::vec(inner.clone(), 0..3).prop_map(Predicate::All),
                prop::collection::vec(inner, 0..3).prop_map(Predicate::Any),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_predicate_and_its_negation_never_both_hold(p in predicate(), v in value()) {
            let not = Predicate::Not(Box::new(p.clone()));
            for found in [Found::Value(&v), Found::Absent, Found::Unknown("x".to_owned())] {
                let (a, b) = (p.test(&found), not.test(&found));
                prop_assert!(!(a == Ok(Truth::Holds) && b == Ok(Truth::Holds)));
            }
        }

        #[test]
        fn nothing_but_absent_holds_of_an_absent_field(p in predicate()) {
            if p.test(&Found::Absent) == Ok(Truth::Holds) {
                let text = format!("{p:?}");
                // An empty "all of them" asks for nothing.
                prop_assert!(
                    text.contains("Absent") || text.contains("Present") || text.contains("[]"),
                    "{}", text
                );
            }
        }

        #[test]
        fn what_is_the_same_is_the_same_both_ways(a in value(), b in value()) {
            prop_assert!(same(&a, &a));
            prop_assert_eq!(same(&a, &b), same(&b, &a));
        }

        #[test]
        fn order_is_total_on_numbers(a in -5i64..5, b in -2.0..2.0f64) {
            let (a, b) = (json!(a), json!(b));
            let less = test(&Predicate::LessThan(b.clone()), &a);
            let at_least = test(&Predicate::AtLeast(b), &a);
            prop_assert_eq!(less, at_least.not());
        }
    }
}
