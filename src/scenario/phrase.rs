//! Phrases: `refused 400 or 401` as predicates.

use indexmap::IndexMap;
use serde_json::Value;

use super::claim;
use super::model::{Predicate, Said};
use crate::steps::{Phrase, Verb};
use crate::template::expression::{self, Piece};
use crate::vocabulary::similar::nearest;
use crate::yaml::node::Node;

/// Stands for an expression whose value isn't known yet.
const LATER: char = '\u{1}';

/// What stood in the place of a pattern's `<status>` or `<text>`.
#[derive(Debug, PartialEq)]
enum Argument {
    None,
    Status(Vec<String>),
    Text(String),
}

/// A phrase as a file says it. What it says is read at once where no template is in it.
pub fn said(verb: &Verb, text: &str) -> Said {
    Said {
        text: text.to_owned(),
        fields: match expression::is_template(text) {
            true => None,
            false => fields(verb, text),
        },
    }
}

/// The predicates that a phrase of a verb stands for, by the path of their field.
pub fn fields(verb: &Verb, text: &str) -> Option<IndexMap<String, Predicate>> {
    let (phrase, argument) = find(verb, text)?;
    let fields = substitute((phrase.fields)(), &argument);
    claim::fields_of_value(&Node::from_value(&fields))
}

/// The phrase of a verb that a text is; expressions in it may stand for numbers and texts.
pub fn recognise(verb: &Verb, text: &str) -> Option<&'static Phrase> {
    let pieces = expression::split(text).ok()?;
    let known: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Expression(..) => LATER.to_string(),
        })
        .collect();
    find(verb, &known).map(|(phrase, _)| phrase)
}

/// The pattern that a text was probably meant to be.
pub fn suggest(verb: &Verb, text: &str) -> Option<&'static str> {
    let mut pattern: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        let number = word.chars().all(|c| c.is_ascii_digit());
        match pattern.last() {
            _ if !number && word != "or" => pattern.push(word),
            Some(&"<status>") => {}
            _ => pattern.push("<status>"),
        }
    }
    let pattern = pattern.join(" ");
    nearest(&pattern, verb.phrases.iter().map(|phrase| phrase.pattern))
}

fn find(verb: &Verb, text: &str) -> Option<(&'static Phrase, Argument)> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // An exact phrase before one with a place for something.
    let mut phrases: Vec<&'static Phrase> = verb.phrases.iter().collect();
    phrases.sort_by_key(|phrase| phrase.pattern.contains('<'));
    phrases
        .into_iter()
        .find_map(|phrase| Some((phrase, matches(phrase.pattern, &text)?)))
}

fn matches(pattern: &str, text: &str) -> Option<Argument> {
    if let Some(start) = pattern.strip_suffix("<status>") {
        let numbers: Vec<String> = text
            .strip_prefix(start)?
            .split(" or ")
            .map(|number| number.trim().to_owned())
            .collect();
        let number = |n: &String| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit() || c == LATER);
        return numbers.iter().all(number).then_some(Argument::Status(numbers));
    }
    if let Some(start) = pattern.strip_suffix("<text>") {
        let rest = text.strip_prefix(start)?;
        return (!rest.is_empty()).then(|| Argument::Text(rest.to_owned()));
    }
    (pattern == text).then_some(Argument::None)
}

fn substitute(value: Value, argument: &Argument) -> Value {
    match (value, argument) {
        (Value::String(text), Argument::Status(numbers)) if text == "<status>" => numbers
            .iter()
            .filter_map(|number| number.parse::<u64>().ok())
            .map(Value::from)
            .collect(),
        (Value::String(text), Argument::Text(argument)) if text == "<text>" => Value::String(argument.clone()),
        (Value::Array(items), argument) => items.into_iter().map(|item| substitute(item, argument)).collect(),
        (Value::Object(map), argument) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, substitute(value, argument)))
                .collect(),
        ),
        (value, _) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::{VERBS, verb};
    use serde_json::json;

    #[test]
    fn every_phrase_is_understood() {
        for verb in VERBS {
            for phrase in verb.phrases {
                let text = phrase.pattern.replace("<status>", "401").replace("<text>", "x");
                let fields = fields(verb, &text);
                assert!(fields.is_some_and(|f| !f.is_empty()), "{}: {text}", verb.name);
            }
            if let Some(given) = verb.default_given {
                assert!(recognise(verb, given).is_some(), "{}: {given}", verb.name);
            }
        }
    }

    #[test]
    fn statuses_and_texts() {
        let attach = verb("attach").expect("a verb");
        let fields = fields(attach, "refused 400 or 401").expect("a phrase");
        assert_eq!(
            fields.get("status"),
            Some(&Predicate::OneOf(vec![json!(400), json!(401)]))
        );
        assert!(recognise(attach, "refused ${status} or 401").is_some());
        assert!(recognise(attach, "refused soon").is_none());
        assert_eq!(suggest(attach, "refuse 400 or 401"), Some("refused <status>"));
        assert_eq!(suggest(attach, "open"), Some("opens"));
        let terminal = verb("terminal").expect("a verb");
        let shows = super::fields(terminal, "shows a b").expect("a phrase");
        assert_eq!(shows.get("screen"), Some(&Predicate::Contains(json!("a b"))));
    }
}
