//! What the documents say is what there is.

use gauntlet::scenario::predicate::OPERATORS;
use gauntlet::steps::VERBS;

const SCENARIOS: &str = include_str!("../docs/scenarios.md");

/// Whether the document has a name as code, alone.
fn names(document: &str, name: &str) -> bool {
    document.contains(&format!("`{name}`"))
}

#[test]
fn every_verb_and_each_of_its_phrases_is_named() {
    for verb in VERBS {
        assert!(
            names(SCENARIOS, verb.name),
            "docs/scenarios.md has no verb `{}`",
            verb.name
        );
        for phrase in verb.phrases {
            let pattern = phrase.pattern;
            assert!(
                names(SCENARIOS, pattern),
                "docs/scenarios.md has no phrase `{pattern}` of {}",
                verb.name
            );
        }
    }
}

#[test]
fn every_operator_is_named() {
    for (operator, _) in OPERATORS {
        assert!(
            names(SCENARIOS, operator),
            "docs/scenarios.md has no operator `{operator}`"
        );
    }
}

#[test]
fn every_key_of_a_scenario_and_of_a_step_is_named() {
    let schema = gauntlet::scenario::schema();
    for place in [
        "/properties",
        "/definitions/WorldSpec/properties",
        "/definitions/step-type/properties",
    ] {
        let keys = schema.pointer(place).and_then(|keys| keys.as_object()).expect(place);
        for key in keys.keys() {
            // A verb's own keys are the schema's to tell.
            if place.contains("step-type") && ["on", "enter"].contains(&key.as_str()) {
                continue;
            }
            assert!(names(SCENARIOS, key), "docs/scenarios.md doesn't name the key `{key}`");
        }
    }
}
