//! What values of a scenario file look like where its schema says more than the model's types.

use std::borrow::Cow;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// The version of the language that a file is written in.
pub const API_VERSION: &str = "gauntlet/v1";

/// A matrix's values of one name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "read as a schema")]
pub(super) enum MatrixValues {
    List(#[schemars(length(min = 1))] Vec<Value>),
    Named(#[schemars(extend("minProperties" = 1))] IndexMap<String, Value>),
}

/// What a variable's name looks like.
pub(super) const NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z_][A-Za-z0-9_]*)*$";

macro_rules! text_schema {
    ($(#[doc = $doc:literal] $name:ident, $schema:literal, $pattern:expr, $message:literal;)*) => {$(
        #[doc = $doc]
        pub(super) struct $name;

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
