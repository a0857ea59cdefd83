//! Places in a step that can't hold an object: a token, a header, a path. The schema says what a verb takes there.

use serde_json::{Map, Value};

use super::schema::{SCHEMA, step_name};
use super::step::COMMON;
use crate::steps::Verb;
use crate::template::Scope;
use crate::template::expression::{self, Piece};
use crate::template::{TemplateError, object_for_text};
use crate::yaml::node::{Kind, Node};

/// Refuses a step in which `${t}` stands for a text, and the variable is an object.
pub fn refuse_objects(verb: &Verb, keys: &Value, scope: &Scope) -> Result<(), TemplateError> {
    if !is_suspect(verb, keys, scope) {
        return Ok(());
    }
    let step = Node::from_value(keys);
    for (place, node) in places(verb.name, &step) {
        let Some(template) = node.as_text() else { continue };
        if let Some((source, map)) = object_of(template, scope) {
            let (message, help) = object_for_text(&source, map.keys().map(String::as_str), place);
            return Err(TemplateError {
                message: format!("{message}; {help}"),
                template: template.to_owned(),
                undefined: None,
            });
        }
    }
    Ok(())
}

/// Whether an object stands anywhere but where each may: only then the schema is needed to tell.
fn is_suspect(verb: &Verb, keys: &Value, scope: &Scope) -> bool {
    let keys = keys.as_object().into_iter().flatten();
    keys.filter(|(key, _)| !verb.takes_objects.contains(&key.as_str()))
        .any(|(_, value)| has_object(value, scope))
}

fn has_object(value: &Value, scope: &Scope) -> bool {
    match value {
        Value::String(text) => object_of(text, scope).is_some(),
        Value::Array(items) => items.iter().any(|item| has_object(item, scope)),
        Value::Object(map) => map.values().any(|value| has_object(value, scope)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The object that a template is, and its expression, where it is one variable and nothing else. No more is evaluated
/// here: it is again when the step is filled in, and may draw a random value.
fn object_of<'s>(template: &str, scope: &'s Scope) -> Option<(String, &'s Map<String, Value>)> {
    if !expression::is_template(template) {
        return None;
    }
    let pieces = expression::split(template).ok()?;
    let [Piece::Expression(source, _)] = pieces.as_slice() else {
        return None;
    };
    let name = expression::variable(source)?;
    let map = scope.at(&name.path)?.as_object()?;
    Some((source.clone(), map))
}

/// The texts of a step that stand where no object can, each with the key that it is under.
pub(super) fn places<'n>(verb: &str, step: &'n Node) -> Vec<(&'n str, &'n Node)> {
    let mut found = Vec::new();
    let definition = SCHEMA["definitions"].get(step_name(verb));
    let keys = definition.and_then(|definition| definition.get("properties"));
    for (key, value) in step.as_map().unwrap_or_default() {
        // What is expected is judged elsewhere, and takes any value.
        let schema = keys
            .and_then(|keys| keys.get(&key.name))
            .filter(|_| !COMMON.contains(&key.name.as_str()));
        if let Some(schema) = schema {
            walk(schema, &key.name, value, &mut found);
        }
    }
    found
}

fn walk<'n>(schema: &'static Value, key: &'n str, node: &'n Node, found: &mut Vec<(&'n str, &'n Node)>) {
    match &node.kind {
        Kind::Text(_) if !can_be_object(schema) => found.push((key, node)),
        Kind::List(items) => {
            let of_items = alternatives(schema).into_iter().find_map(|schema| schema.get("items"));
            if let Some(schema) = of_items {
                for item in items {
                    walk(schema, key, item, found);
                }
            }
        }
        Kind::Map(entries) => {
            let fits = |&schema: &&'static Value| entries.iter().all(|(key, _)| of_key(schema, &key.name).is_some());
            if let Some(schema) = alternatives(schema).into_iter().find(fits) {
                for (key, value) in entries {
                    if let Some(schema) = of_key(schema, &key.name) {
                        walk(schema, &key.name, value, found);
                    }
                }
            }
        }
        Kind::Text(_) | Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
    }
}

/// The schema of a key's value; none if a map can't have the key.
fn of_key(schema: &'static Value, key: &str) -> Option<&'static Value> {
    let named = schema.get("properties").and_then(|properties| properties.get(key));
    let others = || {
        schema
            .get("additionalProperties")
            .filter(|schema| **schema != Value::Bool(false))
    };
    named.or_else(others)
}

/// The schemas of which a value has one, references followed; a template is none of its own.
fn alternatives(schema: &'static Value) -> Vec<&'static Value> {
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        let name = to.strip_prefix("#/definitions/").filter(|name| *name != "template");
        let definition = name.and_then(|name| SCHEMA["definitions"].get(name));
        return definition.map(alternatives).unwrap_or_default();
    }
    let several = ["anyOf", "oneOf", "allOf"]
        .iter()
        .find_map(|key| schema.get(*key)?.as_array());
    match several {
        Some(all) => all.iter().flat_map(alternatives).collect(),
        None => vec![schema],
    }
}

fn can_be_object(schema: &'static Value) -> bool {
    alternatives(schema).into_iter().any(|schema| match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.get("const").is_none() && schema.get("enum").is_none(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::{VERBS, verb};
    use serde_json::json;

    /// The keys under which no object can stand.
    fn keys(verb: &str, step: Value) -> Vec<String> {
        let step = Node::from_value(&step);
        places(verb, &step).iter().map(|(key, _)| (*key).to_owned()).collect()
    }

    #[test]
    fn texts_and_what_takes_any_value() {
        let attach = json!({
            "attach": "${s}", "road": "${r}", "token": "${t}", "authorization": "${t}",
            "headers": { "x-one": "${t}", "x-several": ["${t}"] }, "check": "${t}",
        });
        assert_eq!(
            keys("attach", attach),
            ["road", "token", "authorization", "x-one", "x-several"]
        );
        assert_eq!(
            keys("jwt", json!({ "jwt": "${t}", "header": { "kid": "${t}" } })),
            [""; 0]
        );
        assert_eq!(
            keys("jwt", json!({ "jwt": "${t}", "claims": "${t}", "secret": "${t}" })),
            ["secret"]
        );
        assert_eq!(
            keys("http", json!({ "http": "${t}", "to": "${s}", "body": "${t}" })),
            ["http"]
        );
        assert_eq!(keys("http", json!({ "http": "x", "body": { "a": "${t}" } })), ["http"]);
        let raw = json!({ "raw": "${s}", "send": ["${t}", { "upgrade": { "token": "${t}" } }, { "hex": "${t}" }] });
        assert_eq!(keys("raw", raw), ["token", "hex"]);
        assert_eq!(
            keys("patch-secret", json!({ "patch-secret": "x", "set": { "k": "${t}" } })),
            ["patch-secret", "k"]
        );
        assert_eq!(
            keys("exec", json!({ "exec": ["cat", "${t}"], "in": "${s}" })),
            ["exec", "exec"]
        );
        assert_eq!(keys("delete", json!({ "delete": "${pods}" })), [""; 0]);
    }

    #[test]
    fn what_takes_objects_by_the_schema() {
        for verb in VERBS {
            for key in verb.takes_objects {
                let mut step = json!({ verb.name: "x" });
                step[*key] = json!("${t}");
                assert!(
                    !keys(verb.name, step).contains(&(*key).to_owned()),
                    "{} {key}",
                    verb.name
                );
            }
        }
    }

    /// Making the schema takes longer than most steps.
    #[test]
    fn the_schema_is_looked_at_only_where_an_object_is_out_of_place() {
        let mut scope = Scope::new(1);
        scope.set("s", json!({ "id": "abc", "inner": { "token": "x" } }));
        scope.set("items", json!(["a"]));
        let suspect = |name: &str, keys: Value| is_suspect(verb(name).expect(name), &keys, &scope);
        for (verb, keys) in [
            ("attach", json!({ "attach": "${s}", "token": "${s.id}" })),
            ("attach", json!({ "attach": "${s}", "authorization": "Bearer ${s}" })),
            ("attach", json!({ "attach": "${s}", "token": "${token()}" })),
            ("type", json!({ "type": "${items}", "on": "${s}" })),
            ("http", json!({ "http": "GET /", "body": { "name": "${s}" } })),
            ("http", json!({ "http": "GET ${not.there}", "to": "${s}" })),
        ] {
            assert!(!suspect(verb, keys.clone()), "{verb} {keys}");
        }
        for (verb, keys) in [
            ("attach", json!({ "attach": "${s}", "token": "${s}" })),
            (
                "attach",
                json!({ "attach": "${s}", "headers": { "x": ["a", "${ s.inner }"] } }),
            ),
            ("session", json!({ "session": "new", "env_vars": { "A": "${s}" } })),
        ] {
            assert!(suspect(verb, keys.clone()), "{verb} {keys}");
        }
    }

    #[test]
    fn an_object_that_is_known_only_when_it_runs() {
        let mut scope = Scope::new(1);
        scope.set("t", json!({ "token": "abc", "head": {} }));
        let attach = verb("attach").expect("a verb");
        let refused = |keys: Value| refuse_objects(attach, &keys, &scope).map_err(|error| error.to_string());
        assert_eq!(
            refused(json!({ "attach": "${t}", "token": "${t}" })),
            Err("`${t}` is an object; did you mean `${t.token}`?, in `${t}`".to_owned())
        );
        assert_eq!(
            refused(json!({ "attach": "${t}", "token": "${ t.head }" })),
            Err("`${t.head}` is an object; it has no fields, in `${ t.head }`".to_owned())
        );
        assert_eq!(refused(json!({ "attach": "${t}", "token": "${t.token}" })), Ok(()));
        assert_eq!(refused(json!({ "attach": "${t}", "token": "${not.there}" })), Ok(()));
    }
}
