//! A field of an object that the API server does not take, and what is wrong with it, in its words.

/// Which field is wrong, and why: `spec.volumes[0].name: Required value`.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    path: String,
    problem: Problem,
}

/// What can be wrong with a field.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("Required value")]
    Required,
    #[error("Invalid value: {value}: {why}")]
    Invalid {
        /// As JSON has it.
        value: String,
        why: &'static str,
    },
    #[error("Duplicate value: \"{0}\"")]
    Duplicate(String),
    #[error("Not found: \"{0}\"")]
    NotFound(String),
    #[error("Forbidden: {0}")]
    Forbidden(&'static str),
}

impl FieldError {
    pub fn new(path: impl Into<String>, problem: Problem) -> FieldError {
        FieldError {
            path: path.into(),
            problem,
        }
    }

    pub fn required(path: impl Into<String>) -> FieldError {
        FieldError::new(path, Problem::Required)
    }

    /// A text that can't be the field's value.
    pub fn invalid(path: impl Into<String>, text: &str, why: &'static str) -> FieldError {
        let value = format!("\"{text}\"");
        FieldError::new(path, Problem::Invalid { value, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_wrong_in_the_api_servers_words() {
        let mode = Problem::Invalid {
            value: "512".to_owned(),
            why: "too large",
        };
        for (error, said) in [
            (FieldError::required("a.b"), "a.b: Required value"),
            (FieldError::invalid("a.b", "x", "no"), "a.b: Invalid value: \"x\": no"),
            (FieldError::new("a.b", mode), "a.b: Invalid value: 512: too large"),
            (
                FieldError::new("a.b", Problem::Duplicate("x".to_owned())),
                "a.b: Duplicate value: \"x\"",
            ),
            (
                FieldError::new("a.b", Problem::NotFound("x".to_owned())),
                "a.b: Not found: \"x\"",
            ),
            (FieldError::new("a.b", Problem::Forbidden("no")), "a.b: Forbidden: no"),
        ] {
            assert_eq!(error.to_string(), said);
        }
    }
}
