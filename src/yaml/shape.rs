//! Holds a tree against the schema: unknown keys, wrong types, what is missing.

use std::collections::HashMap;
use std::ops::Deref;

use regex::Regex;
use serde_json::Value;

use super::checker::Checker;
use super::node::{Kind, Node};
use super::problem::Problem;
use super::source::Span;
use crate::template::expression::is_template;
use crate::vocabulary::similar::{nearest, suggestion};

/// Definitions that their own code checks, with messages of its own; `-` at the end stands for any ending.
pub(crate) const CHECKED_ELSEWHERE: [&str; 4] = ["step", "claims-", "facts-", "predicate"];

/// A JSON Schema, with the patterns of its definitions (names, ids, lengths of time) compiled once.
pub(crate) struct Schema {
    root: Value,
    patterns: HashMap<String, Regex>,
}

impl Schema {
    pub(crate) fn new(root: Value) -> Schema {
        let definitions = root["definitions"].as_object();
        let patterns = definitions
            .into_iter()
            .flat_map(|definitions| definitions.values())
            .filter_map(|definition| {
                let pattern = definition.get("pattern")?.as_str()?;
                Some((pattern.to_owned(), Regex::new(pattern).ok()?))
            })
            .collect();
        Schema { root, patterns }
    }

    /// Whether a text is of one of its patterns. One that isn't a pattern (a test compiles them all) lets everything
    /// through.
    fn pattern_matches(&self, pattern: &str, text: &str) -> bool {
        match self.patterns.get(pattern) {
            Some(pattern) => pattern.is_match(text),
            None => Regex::new(pattern).map_or(true, |pattern| pattern.is_match(text)),
        }
    }
}

impl Deref for Schema {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.root
    }
}

/// Holds a node against a part of a schema. `what` names the node in messages: `title`, `attach`.
pub(crate) fn check(root: &Schema, schema: &Value, node: &Node, what: &str, checker: &mut Checker) {
    Walker { root }.check(schema, node, what, checker);
}

struct Walker<'s> {
    root: &'s Schema,
}

const TEMPLATE: &str = "#/definitions/template";

impl<'s> Walker<'s> {
    fn check(&self, schema: &'s Value, node: &Node, what: &str, checker: &mut Checker) {
        let Some(schema) = self.resolve(schema) else {
            return;
        };
        if let Some(alternatives) = alternatives(schema) {
            self.check_any(alternatives, schema, node, what, checker);
            return;
        }
        if !self.admits(schema, node) {
            let message = format!("{what} must be {}, not {}", self.describe(schema), node.describe());
            match (schema.get("type").and_then(Value::as_str), &node.kind) {
                (_, Kind::Null) => {
                    checker.report_with_help(node.span, message, "give it a value, or leave the key out")
                }
                (Some("string"), Kind::Number(_)) if schema.get("patternErrorMessage").is_some() => {
                    let help = schema["patternErrorMessage"].as_str().unwrap_or_default();
                    checker.report_with_help(node.span, message, help);
                }
                (Some("string"), Kind::Number(_) | Kind::Bool(_)) => {
                    checker.report_with_help(node.span, message, "put it in quotes to make it a text");
                }
                _ => checker.report(node.span, message),
            }
            return;
        }
        match &node.kind {
            Kind::Text(text) => self.check_text(schema, text, node.span, what, checker),
            Kind::Number(_) => {
                let value = node.to_value();
                let number = value.as_f64().unwrap_or_default();
                let below = schema
                    .get("minimum")
                    .and_then(Value::as_f64)
                    .filter(|min| number < *min);
                let above = schema
                    .get("maximum")
                    .and_then(Value::as_f64)
                    .filter(|max| number > *max);
                if let Some(least) = below {
                    checker.report(node.span, format!("{what} must be at least {least}"));
                }
                if let Some(most) = above {
                    checker.report(node.span, format!("{what} must be at most {most}"));
                }
            }
            Kind::List(items) => {
                let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
                if (items.len() as u64) < least {
                    checker.report(node.span, format!("{what} must not be empty"));
                }
                if let Some(schema) = schema.get("items") {
                    for item in items {
                        self.check(schema, item, &format!("an element of {what}"), checker);
                    }
                }
            }
            Kind::Map(_) => self.check_map(schema, node, what, checker),
            Kind::Null | Kind::Bool(_) => {}
        }
    }

    fn check_text(&self, schema: &Value, text: &str, span: Span, what: &str, checker: &mut Checker) {
        if let Some(known) = enumerated(schema) {
            if !known.contains(&text) {
                let message = format!("{what} must be {}, not `{text}`", or(&known));
                match nearest(text, known.iter().copied()) {
                    Some(near) => {
                        checker.report_with_help(span, message, format!("did you mean `{near}`?"));
                    }
                    None => checker.report(span, message),
                }
            }
            return;
        }
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else {
            return;
        };
        if !self.root.pattern_matches(pattern, text) {
            let message = format!("`{text}` is not right for {what}");
            match schema.get("patternErrorMessage").and_then(Value::as_str) {
                Some(help) => checker.report_with_help(span, message, help),
                None => checker.report(span, message),
            }
        }
    }

    fn check_map(&self, schema: &'s Value, node: &Node, what: &str, checker: &mut Checker) {
        let entries = node.as_map().unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        let least = schema.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
        if (entries.len() as u64) < least {
            checker.report(node.span, format!("{what} must not be empty"));
        }
        let names = schema.get("propertyNames");
        // A key that was misspelt is not missing as well.
        let mut meant: Vec<&str> = Vec::new();
        for (key, value) in entries {
            if let Some(schema) = properties.and_then(|known| known.get(&key.name)) {
                self.check(schema, value, &format!("`{}`", key.name), checker);
                continue;
            }
            match schema.get("additionalProperties") {
                Some(Value::Bool(false)) => {
                    let known = properties
                        .into_iter()
                        .flat_map(|known| known.keys().map(String::as_str));
                    let help = suggestion(&key.name, known.clone(), "keys");
                    meant.extend(nearest(&key.name, known));
                    checker.report_with_help(key.span, format!("{what} has no key `{}`", key.name), help);
                }
                other => {
                    if let Some(names) = names.and_then(|names| self.resolve(names)) {
                        self.check_text(names, &key.name, key.span, "a name", checker);
                    }
                    if let Some(schema) = other {
                        self.check(schema, value, &format!("`{}`", key.name), checker);
                    }
                }
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = required.as_str().unwrap_or_default();
            if node.get(name).is_none() && !meant.contains(&name) {
                let message = format!("{what} lacks the key `{name}`");
                let schema = properties.and_then(|known| known.get(name));
                match schema.and_then(|schema| description(schema)) {
                    Some(meaning) => {
                        let help = format!("`{name}`: {meaning}");
                        checker.report_with_help(node.span, message, help);
                    }
                    None => checker.report(node.span, message),
                }
            }
        }
    }

    /// One of several schemas must match. The message is about the closest one.
    fn check_any(&self, alternatives: &'s [Value], whole: &Value, node: &Node, what: &str, checker: &mut Checker) {
        let template = node.as_text().is_some_and(is_template);
        let candidates: Vec<&Value> = alternatives
            .iter()
            .filter(|schema| template || schema.get("$ref").is_none_or(|to| to != TEMPLATE))
            .collect();
        let mut nearest: Option<Vec<Problem>> = None;
        for schema in candidates.iter().filter(|schema| match self.resolve(schema) {
            None => true,
            Some(schema) => alternatives_of(schema) || self.admits(schema, node),
        }) {
            let mut attempt = Checker::new(&checker.source);
            self.check(schema, node, what, &mut attempt);
            if attempt.problems.is_empty() {
                return;
            }
            if nearest
                .as_ref()
                .is_none_or(|known| attempt.problems.len() < known.len())
            {
                nearest = Some(attempt.problems);
            }
        }
        match nearest {
            Some(problems) => checker.problems.extend(problems),
            None => {
                let mut known: Vec<String> = candidates.iter().map(|schema| self.describe(schema)).collect();
                known.dedup();
                let message = format!("{what} must be {}, not {}", known.join(", or "), node.describe());
                match description(whole) {
                    Some(help) => checker.report_with_help(node.span, message, help),
                    None => checker.report(node.span, message),
                }
            }
        }
    }

    /// Follows references; nothing where the parser has messages of its own.
    fn resolve(&self, mut schema: &'s Value) -> Option<&'s Value> {
        loop {
            let to = match (schema.get("$ref"), schema.get("allOf")) {
                (Some(Value::String(to)), _) => to,
                (None, Some(Value::Array(all))) if all.len() == 1 => {
                    schema = &all[0];
                    continue;
                }
                _ => return Some(schema),
            };
            let name = to.strip_prefix("#/definitions/")?;
            let elsewhere = |known: &str| name == known || (known.ends_with('-') && name.starts_with(known));
            if CHECKED_ELSEWHERE.iter().any(|known| elsewhere(known)) {
                return None;
            }
            schema = self.root.get("definitions")?.get(name)?;
        }
    }

    fn admits(&self, schema: &Value, node: &Node) -> bool {
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ if enumerated(schema).is_some() => vec!["string"],
            _ => return true,
        };
        kinds.iter().any(|kind| match (*kind, &node.kind) {
            ("null", Kind::Null)
            | ("boolean", Kind::Bool(_))
            | ("number", Kind::Number(_))
            | ("string", Kind::Text(_))
            | ("array", Kind::List(_))
            | ("object", Kind::Map(_)) => true,
            ("integer", Kind::Number(number)) => !number.is_f64(),
            _ => false,
        })
    }

    fn describe(&self, schema: &'s Value) -> String {
        let Some(schema) = self.resolve(schema) else {
            return "something else".to_owned();
        };
        if let Some(known) = enumerated(schema) {
            return or(&known);
        }
        if let Some(alternatives) = alternatives(schema) {
            let known: Vec<String> = alternatives
                .iter()
                .filter(|schema| schema.get("$ref").is_none_or(|to| to != TEMPLATE))
                .map(|schema| self.describe(schema))
                .collect();
            return known.join(", or ");
        }
        let word = |kind: &str| match kind {
            "null" => "null",
            "boolean" => "true or false",
            "integer" => "a whole number",
            "number" => "a number",
            "string"
                if schema
                    .get("pattern")
                    .is_some_and(|p| p.as_str().is_some_and(|p| p.contains("us|ms"))) =>
            {
                "a length of time as `30s`"
            }
            "string" => "a text",
            "array" => "a list",
            "object" => "a map",
            _ => "something else",
        };
        match schema.get("type") {
            Some(Value::String(kind)) => word(kind).to_owned(),
            Some(Value::Array(kinds)) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).map(word).collect();
                kinds.join(" or ")
            }
            _ => "any value".to_owned(),
        }
    }
}

fn alternatives(schema: &Value) -> Option<&Vec<Value>> {
    // Alternatives that are all single texts are a list of known words.
    if enumerated(schema).is_some() {
        return None;
    }
    ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array())
}

fn alternatives_of(schema: &Value) -> bool {
    alternatives(schema).is_some()
}

/// The texts that a schema lists: an `enum`, a `const`, or one `const` beside another.
fn enumerated(schema: &Value) -> Option<Vec<&str>> {
    if let Some(only) = schema.get("const").and_then(Value::as_str) {
        return Some(vec![only]);
    }
    if let Some(Value::Array(known)) = schema.get("enum") {
        return Some(known.iter().filter_map(Value::as_str).collect());
    }
    let several = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array())?;
    let lists: Option<Vec<Vec<&str>>> = several
        .iter()
        .map(|schema| match schema.get("const").or_else(|| schema.get("enum")) {
            Some(_) => enumerated(schema),
            None => None,
        })
        .collect();
    lists.map(|lists| lists.into_iter().flatten().collect())
}

fn description(schema: &Value) -> Option<&str> {
    schema.get("description").and_then(Value::as_str)
}

fn or(known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.join(""),
    }
}
