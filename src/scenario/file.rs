//! The keys of a scenario file, as its schema has them.

use std::borrow::Cow;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

use super::duration::DurationText;
use super::model::{Intrusion, Level, WorldSpec};

/// The version of the language that a file is written in.
pub const API_VERSION: &str = "gauntlet/v1";

/// A scenario: a rule of a contract as a story of steps.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "read as a schema; the parser takes the keys from the tree with places"
)]
pub(super) struct ScenarioFile {
    /// `gauntlet/v1`.
    #[serde(rename = "apiVersion")]
    #[schemars(extend("const" = "gauntlet/v1"))]
    pub api_version: String,
    /// CONTRACT/GROUP/RULE, and the file's path: harness-token/warm/stale is
    /// harness-token/warm/stale.yaml. A fourth part where a rule has several scenarios.
    #[schemars(with = "Id")]
    pub id: String,
    /// The rule, in a sentence.
    pub title: String,
    /// The source and clause, or the standard and section, that the rule comes from.
    pub spec: String,
    /// Whether a (spec) sentence of the contract stands behind it.
    pub level: Level,
    /// What it does to a platform that isn't ours. Default: observe.
    pub intrusion: Option<Intrusion>,
    /// Words to select it by, as tag:warm.
    pub tags: Option<Vec<String>>,
    /// The world that it needs.
    pub world: Option<WorldSpec>,
    /// Values by name, evaluated in order when the scenario starts.
    pub vars: Option<IndexMap<Name, Value>>,
    /// The scenario runs once for each combination of these values: of each name a list of
    /// values, or a map of values by what to call them.
    pub matrix: Option<IndexMap<Name, MatrixValues>>,
    /// Longest time that the whole scenario may take.
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<String>,
    /// Why no step can show that the road was open, where a refusal is all that can be seen.
    pub open_road: Option<String>,
    /// What is done and what must be true, in order.
    #[schemars(with = "Steps")]
    pub steps: Value,
    /// Steps that run at the end, whatever came before.
    #[schemars(with = "Option<Steps>")]
    pub finally: Option<Value>,
}

/// A matrix's values of one name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "read as a schema")]
pub(super) enum MatrixValues {
    List(#[schemars(length(min = 1))] Vec<Value>),
    Named(#[schemars(extend("minProperties" = 1))] IndexMap<String, Value>),
}

/// Keys that every step has beside its verb's, less what is expected (which depends on the verb).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[allow(dead_code, reason = "read as a schema")]
pub(super) struct CommonKeys {
    /// The name that the observation gets, for the steps after.
    #[schemars(with = "Option<Name>")]
    pub r#as: Option<String>,
    /// Why the scenario is skipped where `needs` doesn't hold.
    pub reason: Option<String>,
    /// How long what is expected may take to become true; the step is repeated until then.
    #[schemars(with = "Option<DurationText>")]
    pub within: Option<String>,
    /// Time between two tries. Default: 20ms, growing to 250ms.
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<String>,
    /// How long what is expected must stay true; the step is repeated for so long.
    #[schemars(with = "Option<DurationText>")]
    pub holds_for: Option<String>,
}

/// What a variable's name looks like.
pub(super) const NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z_][A-Za-z0-9_]*)*$";

macro_rules! text_schema {
    ($(#[doc = $doc:literal] $name:ident, $schema:literal, $pattern:expr, $message:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Debug, Deserialize, PartialEq, Eq, Hash)]
        pub(super) struct $name(#[allow(dead_code, reason = "read as a schema")] String);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": $pattern,
                    "patternErrorMessage": $message,
                })
            }
        }
    )*};
}

text_schema! {
    /// A scenario's id.
    Id, "id", "^[a-z0-9-]+(/[a-z0-9-]+){2,3}$",
        "An id is CONTRACT/GROUP/RULE, or one part more, in small letters, digits and hyphens.";
    /// A variable's name.
    Name, "name", NAME,
        "A name has letters, digits and `_`, and `-` before a letter.";
}

/// Steps: their schema is made from the verbs.
pub(super) struct Steps;

impl JsonSchema for Steps {
    fn schema_name() -> Cow<'static, str> {
        "steps".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "minItems": 1,
            "items": { "$ref": "#/definitions/step" },
        })
    }
}
