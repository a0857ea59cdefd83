//! Label and field selectors.

use serde_json::Value;

use super::error::ApiError;
use super::object::{items, text};

/// A label selector: all of its requirements have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    /// Holds also where the label is absent.
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// An operator of an expression that there is none of.
#[derive(Debug, thiserror::Error)]
#[error("\"{operator}\" is not a valid label selector operator")]
pub struct UnknownOperator {
    operator: String,
}

impl LabelSelector {
    /// Parses the query form: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub fn parse(selector: &str) -> Result<LabelSelector, ApiError> {
        split_outside_parentheses(selector)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Result<_, _>>()
            .map(LabelSelector)
            .map_err(|part| {
                ApiError::bad_request(format!(
                    "unable to parse requirement: found '{part}' in label selector '{selector}'"
                ))
            })
    }

    /// Reads the object form: `matchLabels` and `matchExpressions`.
    pub fn from_object(selector: &Value) -> Result<LabelSelector, UnknownOperator> {
        let mut all = Vec::new();
        for (label, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            all.push(Requirement::In(label.clone(), vec![text(value).to_string()]));
        }
        for expression in items(&selector["matchExpressions"]) {
            let label = text(&expression["key"]).to_string();
            let values = items(&expression["values"])
                .map(|value| text(value).to_string())
                .collect();
            all.push(match text(&expression["operator"]) {
                "In" => Requirement::In(label, values),
                "NotIn" => Requirement::NotIn(label, values),
                "Exists" => Requirement::Exists(label),
                "DoesNotExist" => Requirement::Absent(label),
                other => {
                    return Err(UnknownOperator {
                        operator: other.to_owned(),
                    });
                }
            });
        }
        Ok(LabelSelector(all))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a `metadata.labels` satisfies it.
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(label, values) => labels[label]
                .as_str()
                .is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(label, values) => labels[label]
                .as_str()
                .is_none_or(|value| values.iter().all(|v| v != value)),
            Requirement::Exists(label) => labels.get(label).is_some(),
            Requirement::Absent(label) => labels.get(label).is_none(),
        })
    }
}

fn requirement(part: &str) -> Result<Requirement, &str> {
    let label = |text: &str| {
        let text = text.trim();
        let fine = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
        (!text.is_empty() && text.chars().all(fine))
            .then(|| text.to_string())
            .ok_or(part)
    };
    if let Some((head, list)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = list.split(',').map(|value| value.trim().to_string()).collect();
        return match head.trim().rsplit_once(char::is_whitespace) {
            Some((name, "in")) => Ok(Requirement::In(label(name)?, values)),
            Some((name, "notin")) => Ok(Requirement::NotIn(label(name)?, values)),
            _ => Err(part),
        };
    }
    if let Some((name, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(label(name)?, vec![value.trim().to_string()]));
    }
    if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(label(name)?, vec![value.trim().to_string()]));
    }
    match part.strip_prefix('!') {
        Some(name) => Ok(Requirement::Absent(label(name)?)),
        None => Ok(Requirement::Exists(label(part)?)),
    }
}

fn split_outside_parentheses(selector: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    selector
        .split(move |c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .map(str::trim)
}

/// A field selector: `metadata.name=x,status.phase!=Running`.
#[derive(Clone, Debug, Default)]
pub struct FieldSelector(Vec<(String, bool, String)>);

/// The fields that can be selected by, of any kind.
const FIELDS: [&str; 12] = [
    "metadata.name",
    "metadata.namespace",
    "status.phase",
    "status.podIP",
    "spec.nodeName",
    "spec.restartPolicy",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.uid",
    "reason",
    "type",
];

impl FieldSelector {
    pub fn parse(selector: &str) -> Result<FieldSelector, ApiError> {
        let mut all = Vec::new();
        for part in selector.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
                (field, false, value)
            } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (field, true, value)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: '{selector}'; can't understand '{part}'"
                )));
            };
            if !FIELDS.contains(&field) {
                return Err(ApiError::bad_request(format!("field label not supported: {field}")));
            }
            all.push((field.to_string(), equal, value.to_string()));
        }
        Ok(FieldSelector(all))
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, equal, wanted)| {
            let value = field.split('.').fold(object, |value, name| &value[name]);
            (text(value) == wanted) == *equal
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str, labels: Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn label_selectors_follow_equality_and_set_rules() {
        let labels = || json!({ "app": "web", "tier": "front" });
        for selector in [
            "",
            "app=web",
            "app==web",
            "app!=db",
            "other!=x",
            "app in (web, db)",
            "app notin (db)",
            "other notin (x)",
            "app",
            "!other",
            "app=web,tier in (front,back),!other",
        ] {
            assert!(selects(selector, labels()), "{selector}");
        }
        for selector in [
            "app=db",
            "app!=web",
            "app in (db)",
            "app notin (web,x)",
            "other",
            "!app",
            "app=web,tier=x",
        ] {
            assert!(!selects(selector, labels()), "{selector}");
        }
        for selector in ["app in web", "a b", "app within (x)", "=x"] {
            assert!(LabelSelector::parse(selector).is_err(), "{selector}");
        }
    }

    #[test]
    fn field_selectors_know_their_fields() {
        let pod = json!({ "metadata": { "name": "a" }, "status": { "phase": "Running" } });
        let selects = |selector| FieldSelector::parse(selector).unwrap().matches(&pod);
        assert!(selects("metadata.name=a,status.phase!=Failed"));
        assert!(!selects("status.phase=Pending"));
        assert!(FieldSelector::parse("spec.colour=red").is_err());
    }
}
