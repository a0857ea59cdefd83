//! The JSON Schema of scenario files and profiles, generated from the Rust types and the
//! verbs. Editors use it, and the parser holds every file against it.

mod tidy;

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use self::tidy::{allow_templates_inside, tidy};
use super::file::API_VERSION;
use super::model::{Scenario, Step};
use super::predicate::OPERATORS;
use crate::steps::{Phrase, VERBS, Verb};
use crate::vocabulary::policy::POLICIES;
use crate::yaml::shape::Schema;

/// The schema that files are held against, made once.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(schema()));

/// The JSON Schema of a scenario file.
pub fn schema() -> Value {
    // Draft 7 is what editors' YAML support understands best.
    let mut generator = SchemaSettings::draft07().into_generator();
    let mut root = generator.root_schema_for::<Scenario>().to_value();
    let common = Step::json_schema(&mut generator);
    let mut common = transformed(common, &mut generator);
    let mut definitions = generator.take_definitions(true);

    let mut generator = SchemaSettings::draft07().into_generator();
    let mut steps = Vec::new();
    for verb in VERBS {
        steps.push(verb_schema(verb, &mut generator));
    }
    for (name, mut definition) in generator.take_definitions(true) {
        tidy(&mut definition);
        allow_templates_inside(&mut definition);
        definitions.insert(name, definition);
    }
    for definition in definitions.values_mut() {
        tidy(definition);
    }
    tidy(&mut root);
    add_version(&mut root);
    tidy(&mut common);
    definitions.insert("template".to_owned(), template());
    definitions.insert("predicate".to_owned(), predicate());
    definitions.insert("policy".to_owned(), by_policy());
    let names = VERBS.iter().map(|verb| reference(&step_name(verb.name)));
    let step = json!({
        "description": "One action with its expectations. Its verb is the key that no other kind of step has.",
        "type": "object",
        "anyOf": names.collect::<Vec<Value>>(),
    });
    definitions.insert("step".to_owned(), step);
    let common = match common.get_mut("properties").map(Value::take) {
        Some(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    for (verb, mut step) in VERBS.iter().zip(steps) {
        add_common_keys(&mut step, verb, &common);
        definitions.insert(step_name(verb.name), step);
        if has_claims(verb) {
            definitions.insert(claim_name(verb.name), claim(verb));
            definitions.insert(claims_name(verb.name), claims(verb));
            let fields = json!({ "type": "object", "minProperties": 1, "additionalProperties": { "type": "string" } });
            let facts = json!({ "anyOf": [phrases(verb.phrases), fields] });
            definitions.insert(facts_name(verb.name), facts);
        }
    }
    for (key, meaning) in common {
        definitions.insert(key_name(&key), meaning);
    }
    definitions.sort_keys();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".to_owned(), json!("A scenario of gauntlet"));
    if let Value::Object(root) = root {
        for (key, value) in root {
            if !matches!(key.as_str(), "$schema" | "title" | "definitions") {
                schema.insert(key, value);
            }
        }
    }
    schema.insert("definitions".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

/// Puts the first key of a file, which is said of the file and not of the scenario.
fn add_version(root: &mut Value) {
    let version = json!({ "type": "string", "description": format!("`{API_VERSION}`."), "const": API_VERSION });
    let mut properties = Map::from_iter([("apiVersion".to_owned(), version)]);
    if let Some(Value::Object(keys)) = root.get_mut("properties").map(Value::take) {
        properties.extend(keys);
    }
    root["properties"] = Value::Object(properties);
    if let Some(Value::Array(required)) = root.get_mut("required") {
        required.insert(0, json!("apiVersion"));
    }
}

fn transformed(mut schema: schemars::Schema, generator: &mut SchemaGenerator) -> Value {
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema.to_value()
}

/// The definition of a verb's steps.
pub(super) fn step_name(verb: &str) -> String {
    format!("step-{verb}")
}

fn claims_name(verb: &str) -> String {
    format!("claims-{verb}")
}

fn claim_name(verb: &str) -> String {
    format!("claim-{verb}")
}

fn facts_name(verb: &str) -> String {
    format!("facts-{verb}")
}

/// The definition of a key that every step has.
fn key_name(key: &str) -> String {
    format!("key-{key}")
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn has_claims(verb: &Verb) -> bool {
    !verb.phrases.is_empty() || !verb.fields.is_empty()
}

/// A verb's own keys.
fn verb_schema(verb: &Verb, generator: &mut SchemaGenerator) -> Value {
    let schema = (verb.schema)(generator);
    let mut schema = transformed(schema, generator);
    tidy(&mut schema);
    allow_templates_inside(&mut schema);
    schema["title"] = json!(verb.name);
    schema["additionalProperties"] = json!(false);
    schema
}

/// Puts the keys that every step has beside the verb's own.
fn add_common_keys(step: &mut Value, verb: &Verb, common: &Map<String, Value>) {
    let Some(properties) = step.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for key in common.keys() {
        properties.insert(key.clone(), reference(&key_name(key)));
    }
    if !has_claims(verb) {
        return;
    }
    let claims = [
        (
            "check",
            "What must be true of the platform: if it is not, the scenario fails.",
        ),
        (
            "given",
            "What must be true for the scenario to say anything: if it is not, that is an error.",
        ),
        ("until", "As `given`, waited for: `within` says how long."),
        (
            "needs",
            "What the scenario can only run with: without it, it is skipped, with the `reason`.",
        ),
    ];
    for (key, meaning) in claims {
        let schema = json!({ "description": meaning, "allOf": [reference(&claims_name(verb.name))] });
        properties.insert(key.to_owned(), schema);
    }
    let facts = json!({
        "description": "What is reported without a verdict: fields by the name that they get, or a phrase.",
        "allOf": [reference(&facts_name(verb.name))],
    });
    properties.insert("fact".to_owned(), facts);
}

/// A text that is a template.
fn template() -> Value {
    json!({
        "type": "string",
        "pattern": r"\$\{.*\}",
        "description": "A template that gives the value: ${name}.",
    })
}

fn predicate() -> Value {
    let operand = |name: &str| match name {
        "absent" | "present" | "null" => json!({ "type": "boolean" }),
        "one-of" => json!({ "type": "array", "minItems": 1 }),
        "matches" => json!({ "type": "string" }),
        "count" => json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, reference("template")] }),
        "less-than" | "at-least" => json!({ "type": ["number", "string"] }),
        "not" => reference("predicate"),
        "any" => json!({ "type": "array", "minItems": 1, "items": reference("predicate") }),
        _ => json!({}),
    };
    let properties: Map<String, Value> = OPERATORS
        .iter()
        .map(|(name, meaning)| {
            let mut schema = operand(name);
            match schema.get("$ref") {
                Some(_) => schema = json!({ "description": meaning, "allOf": [schema] }),
                None => schema["description"] = json!(meaning),
            }
            ((*name).to_owned(), schema)
        })
        .collect();
    json!({
        "description": "A value that it must be, or operators that must all hold.",
        "anyOf": [
            { "type": ["null", "boolean", "number", "string", "array"] },
            { "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1 },
        ],
    })
}

/// What can be expected of a verb in a phrase or by fields.
fn claim(verb: &Verb) -> Value {
    let mut any = Vec::new();
    if !verb.phrases.is_empty() {
        any.push(phrases(verb.phrases));
    }
    if !verb.fields.is_empty() {
        any.push(fields(verb));
    }
    json!({ "anyOf": any })
}

/// What can be expected of a verb.
fn claims(verb: &Verb) -> Value {
    let claim = reference(&claim_name(verb.name));
    // Which keys there are the policy says; what each of them holds is the verb's.
    let by_policy = json!({
        "title": "by policy",
        "allOf": [reference("policy")],
        "properties": { "policy": true },
        "additionalProperties": claim,
    });
    let list = json!({ "type": "array", "minItems": 1, "items": reference(&claims_name(verb.name)) });
    json!({ "anyOf": [claim, by_policy, list] })
}

/// The keys of an expectation by policy: its name and each of its choices.
fn by_policy() -> Value {
    let with_choices = POLICIES.iter().filter(|policy| !policy.choices().is_empty());
    let policies = with_choices.map(|policy| {
        let mut properties = Map::new();
        let name = json!({ "const": policy.name, "description": policy.meaning });
        properties.insert("policy".to_owned(), name);
        for choice in policy.choices() {
            properties.insert((*choice).to_owned(), json!(true));
        }
        let required: Vec<&String> = properties.keys().collect();
        json!({
            "title": format!("policy {}", policy.name),
            "required": required,
            "properties": properties,
            "additionalProperties": false,
        })
    });
    json!({ "type": "object", "anyOf": policies.collect::<Vec<Value>>() })
}

fn phrases(phrases: &[Phrase]) -> Value {
    let mut any: Vec<Value> = phrases
        .iter()
        .map(|phrase| {
            if !phrase.pattern.contains('<') {
                return json!({ "const": phrase.pattern, "description": phrase.meaning });
            }
            let pattern = phrase
                .pattern
                .replace("<status>", r"([0-9]+|\$\{.*\})( or ([0-9]+|\$\{.*\}))*")
                .replace("<text>", ".+");
            json!({
                "type": "string",
                "title": phrase.pattern,
                "pattern": format!("^{pattern}$"),
                "description": phrase.meaning,
            })
        })
        .collect();
    any.push(json!({ "type": "string", "pattern": r"^\$\{.*\}$" }));
    json!({ "anyOf": any })
}

fn fields(verb: &Verb) -> Value {
    let properties: Map<String, Value> = verb
        .fields
        .iter()
        .map(|field| ((*field).to_owned(), reference("predicate")))
        .collect();
    let deeper = format!(r"^({})[.\[]", verb.fields.join("|"));
    json!({
        "type": "object",
        "title": "fields",
        "properties": properties,
        "patternProperties": { deeper: reference("predicate") },
        "additionalProperties": false,
        "minProperties": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_verb_has_a_common_key() {
        let common = [
            "as",
            "check",
            "given",
            "until",
            "needs",
            "reason",
            "fact",
            "within",
            "every",
            "holds-for",
        ];
        let mut generator = SchemaSettings::draft07().into_generator();
        for verb in VERBS {
            let schema = verb_schema(verb, &mut generator);
            let keys = schema["properties"].as_object().expect("a verb has keys");
            assert!(keys.contains_key(verb.name), "{}", verb.name);
            let clash: Vec<&&str> = common.iter().filter(|key| keys.contains_key(**key)).collect();
            assert!(clash.is_empty(), "{}: {clash:?}", verb.name);
        }
    }

    #[test]
    fn every_reference_is_defined() {
        let schema = schema();
        let text = schema.to_string();
        for found in text.split("\"#/definitions/").skip(1) {
            let name = found.split('"').next().expect("split gives one part at least");
            assert!(schema["definitions"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_pattern_is_one() {
        fn walk(value: &Value) {
            match value {
                Value::Object(map) => {
                    if let Some(pattern) = map.get("pattern").and_then(Value::as_str) {
                        assert!(regex::Regex::new(pattern).is_ok(), "{pattern}");
                    }
                    map.values().for_each(walk);
                }
                Value::Array(items) => items.iter().for_each(walk),
                _ => {}
            }
        }
        walk(&schema());
    }
}
