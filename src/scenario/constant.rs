//! Evaluates templates as far as the file alone allows.

use serde_json::Value;

use crate::template::Scope;
use crate::template::expression::{self, Piece, Use};
use crate::template::render_text;
use crate::yaml::node::{Kind, Node};

/// Most runs of a matrix that are looked at.
const MOST_RUNS: usize = 512;

/// The texts that a template is in the runs of a file; none of a run in which it is made of what is known only then.
pub(super) fn texts(root: &Node, template: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for scope in scopes(root) {
        if let Some(Value::String(text)) = filled(template, &scope)
            && !texts.contains(&text)
        {
            texts.push(text);
        }
    }
    texts
}

/// The variables of each run that have a value already.
fn scopes(root: &Node) -> Vec<Scope> {
    let entries = |section: &str| root.get(section).and_then(Node::as_map).unwrap_or_default();
    let mut scopes = vec![Scope::new(0)];
    for (key, choices) in entries("matrix") {
        let choices: Vec<&Node> = match &choices.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Map(named) => named.iter().map(|(_, value)| value).collect(),
            _ => continue,
        };
        let mut longer = Vec::new();
        for scope in &scopes {
            longer.extend(choices.iter().map(|choice| with(scope, &key.name, choice)));
        }
        longer.truncate(MOST_RUNS);
        scopes = longer;
    }
    for (key, value) in entries("vars") {
        for scope in &mut scopes {
            *scope = with(scope, &key.name, value);
        }
    }
    scopes
}

/// The scope with a variable, where its value is known.
fn with(scope: &Scope, name: &str, node: &Node) -> Scope {
    match constant(node, scope) {
        Some(value) => scope.with(name, value),
        None => scope.clone(),
    }
}

/// The value of a node; of a map, what is known of it.
fn constant(node: &Node, scope: &Scope) -> Option<Value> {
    match &node.kind {
        Kind::Text(text) => filled(text, scope),
        Kind::List(items) => {
            let items: Option<Vec<Value>> = items.iter().map(|item| constant(item, scope)).collect();
            items.map(Value::Array)
        }
        Kind::Map(entries) => {
            let known = entries
                .iter()
                .filter_map(|(key, value)| Some((key.name.clone(), constant(value, scope)?)));
            Some(Value::Object(known.collect()))
        }
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => Some(node.to_value()),
    }
}

fn filled(template: &str, scope: &Scope) -> Option<Value> {
    let pieces = expression::split(template).ok()?;
    // Functions draw random values.
    let draws = |source: &str| expression::names(source).iter().any(|name| name.usage == Use::Function);
    let is_drawn = |piece: &Piece| matches!(piece, Piece::Expression(source, _) if draws(source));
    match pieces.iter().any(is_drawn) {
        true => None,
        false => render_text(template, scope).ok(),
    }
}
