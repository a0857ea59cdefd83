//! Filling templates in.
//!
//! A text that is exactly one `${expression}` becomes the expression's value with its
//! type; any other text stays a text. Expressions are Jinja's (literals, operators,
//! slices, filters) over the variables of a [`Scope`].

use serde_json::Value;

pub mod expression;
mod scope;

use crate::vocabulary::similar::nearest;
use expression::{Piece, Use};
pub use scope::{FILTERS, FUNCTIONS, Scope};
pub(crate) use scope::{canonical, lookup};

/// Why a template can't be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}, in `{template}`")]
pub struct TemplateError {
    pub message: String,
    /// The template's text.
    pub template: String,
    /// The variable that isn't there, where that is the reason.
    pub undefined: Option<String>,
}

/// Fills in all templates of a value, keys of maps too.
pub fn render(value: &Value, scope: &Scope) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => render_text(text, scope)?,
        Value::Array(items) => {
            let items: Result<Vec<Value>, TemplateError> = items.iter().map(|item| render(item, scope)).collect();
            Value::Array(items?)
        }
        Value::Object(map) => {
            let mut rendered = serde_json::Map::with_capacity(map.len());
            for (key, value) in map {
                rendered.insert(render_string(key, scope)?, render(value, scope)?);
            }
            Value::Object(rendered)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

/// Fills in a template; exactly one expression gives its value with its type.
pub fn render_text(template: &str, scope: &Scope) -> Result<Value, TemplateError> {
    if !expression::is_template(template) {
        return Ok(Value::String(template.to_owned()));
    }
    let pieces = expression::split(template).map_err(|_| error(template, "`${` without `}`".to_owned()))?;
    if let [Piece::Expression(expression, _)] = pieces.as_slice() {
        return evaluate(expression, template, scope);
    }
    let mut text = String::new();
    for piece in &pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Expression(expression, _) => {
                text.push_str(&as_text(&evaluate(expression, template, scope)?, expression, template)?);
            }
        }
    }
    Ok(Value::String(text))
}

/// Fills in a template to a text.
pub fn render_string(template: &str, scope: &Scope) -> Result<String, TemplateError> {
    let value = render_text(template, scope)?;
    let source = template.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    as_text(&value, source.unwrap_or(template), template)
}

/// A value inside a longer text: a text as it is, null as nothing, the rest as JSON. An object is none:
/// a field of it is meant.
fn as_text(value: &Value, source: &str, template: &str) -> Result<String, TemplateError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        Value::Object(map) => {
            let (message, help) = object_for_text(source, map.keys().map(String::as_str), "");
            Err(error(template, format!("{message}; {help}")))
        }
        value => Ok(value.to_string()),
    }
}

/// Most fields that are suggested each as an expression.
const MOST_SUGGESTED: usize = 4;

/// What is said of an expression whose value is an object where a text must be, and what to do: the field
/// with the name of the place is meant, or one that is what an object is mostly asked for.
pub(crate) fn object_for_text<'f>(
    source: &str,
    fields: impl IntoIterator<Item = &'f str>,
    place: &str,
) -> (String, String) {
    let source = source.trim();
    let fields: Vec<&str> = fields.into_iter().collect();
    let plain = |c: char| c.is_alphanumeric() || "_-.[]".contains(c);
    let field = |name: &str| match source.chars().all(plain) {
        true => format!("`${{{source}.{name}}}`"),
        false => format!("`${{({source}).{name}}}`"),
    };
    let likely = [place, "token", "id"].into_iter().find(|name| fields.contains(name));
    let meant: Vec<String> = match likely {
        Some(name) => vec![field(name)],
        None => fields.iter().map(|name| field(name)).collect(),
    };
    let help = match meant.split_last() {
        None => "it has no fields".to_owned(),
        Some(_) if meant.len() > MOST_SUGGESTED => format!("name one of its fields: {}", fields.join(", ")),
        Some((last, [])) => format!("did you mean {last}?"),
        Some((last, rest)) => format!("did you mean {} or {last}?", rest.join(", ")),
    };
    (format!("`${{{source}}}` is an object"), help)
}

fn evaluate(source: &str, template: &str, scope: &Scope) -> Result<Value, TemplateError> {
    let expression = scope
        .engine()
        .compile_expression_owned(expression::for_engine(source))
        .map_err(|e| error(template, explain(&e)))?;
    let undefined = || match missing(source, scope) {
        Some((name, message)) => TemplateError {
            undefined: Some(name),
            ..error(template, message)
        },
        None => error(template, format!("`{}` has no value", source.trim())),
    };
    match expression.eval(scope.context()) {
        Ok(value) if value.is_undefined() => Err(undefined()),
        Ok(value) => serde_json::to_value(&value).map_err(|e| error(template, format!("its value can't be JSON: {e}"))),
        Err(e) if e.kind() == minijinja::ErrorKind::UndefinedError => Err(undefined()),
        Err(e) => Err(error(template, explain(&e))),
    }
}

fn error(template: &str, message: String) -> TemplateError {
    TemplateError {
        message,
        template: template.to_owned(),
        undefined: None,
    }
}

/// The engine's message without its place, which is one in a text that nobody wrote.
pub(crate) fn explain(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// The first name of the expression that has no value, and how to say so.
fn missing(source: &str, scope: &Scope) -> Option<(String, String)> {
    expression::names(source)
        .into_iter()
        .filter(|name| name.usage == Use::Variable)
        .find_map(|name| {
            let (root, fields) = name.path.split_first()?;
            let Some(mut value) = scope.get(root) else {
                let near = nearest(&canonical(root), scope.names());
                return Some((root.clone(), unknown(&format!("no variable `{root}`"), near)));
            };
            let mut path = root.clone();
            for field in fields {
                let Value::Object(map) = value else {
                    let message = format!("`{path}` has no field `{field}`: it isn't a map");
                    return Some((format!("{path}.{field}"), message));
                };
                match lookup(map, field) {
                    Some(inner) => value = inner,
                    None => {
                        let near = nearest(field, map.keys().map(String::as_str));
                        let message = unknown(&format!("`{path}` has no field `{field}`"), near);
                        return Some((format!("{path}.{field}"), message));
                    }
                }
                path = format!("{path}.{field}");
            }
            None
        })
}

fn unknown(what: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("{what}; did you mean `{near}`?"),
        None => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn scope() -> Scope {
        let mut scope = Scope::new(7);
        scope.set("master-key", json!("mk"));
        scope.set("secret", json!({"token": "abcdef", "name": "litellm-env"}));
        scope.set("n", json!(3));
        scope.set(
            "r",
            json!({"header": {"cache-control": "no-store"}, "items": [{"name": "p"}]}),
        );
        scope
    }

    fn text(template: &str) -> Value {
        render_text(template, &scope()).unwrap_or_else(|e| panic!("{template}: {e}"))
    }

    #[test]
    fn one_expression_keeps_its_type() {
        assert_eq!(text("${n}"), json!(3));
        assert_eq!(text("${ n + 1 }"), json!(4));
        assert_eq!(text("n=${n}"), json!("n=3"));
        assert_eq!(text("${r.items}"), json!([{"name": "p"}]));
        assert_eq!(text("${r.items[0].name}"), json!("p"));
        assert_eq!(text("${none}"), json!(null));
    }

    #[test]
    fn names_with_a_hyphen() {
        assert_eq!(text("Bearer ${master-key}"), json!("Bearer mk"));
        assert_eq!(text("${master_key}"), json!("mk"));
        assert_eq!(text("${r.header.cache-control}"), json!("no-store"));
    }

    #[test]
    fn filters_and_slices() {
        assert_eq!(text("${secret.token[:-1]}"), json!("abcde"));
        assert_eq!(text("${secret.token | upper}"), json!("ABCDEF"));
        assert_eq!(text("${secret.token | reverse}"), json!("fedcba"));
        assert_eq!(text("${'a b' | percent}"), json!("%61%20%62"));
        assert_eq!(text("${'a b&' | percent_once}"), json!("a%20b%26"));
        assert_eq!(text("${'ab' | base64}"), json!("YWI="));
        assert_eq!(text("${'ab' | repeat(n)}"), json!("ababab"));
        assert_eq!(text("${'aB-c' | swap_case}"), json!("Ab-C"));
        assert_eq!(text("${secret.token[1:] ~ 'x'}"), json!("bcdefx"));
    }

    #[test]
    fn plain_text_stays() {
        for plain in ["{% if %}", "{{ x }}", "#}", "$x", "a $ {b}"] {
            assert_eq!(text(plain), json!(plain));
        }
        assert_eq!(text("$${x}"), json!("${x}"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |template: &str| render_text(template, &scope()).expect_err("undefined").to_string();
        assert_eq!(
            message("x ${master-kei}"),
            "no variable `master-kei`; did you mean `master_key`?, in `x ${master-kei}`"
        );
        assert_eq!(
            message("${secret.tokn}"),
            "`secret` has no field `tokn`; did you mean `token`?, in `${secret.tokn}`"
        );
        assert_eq!(
            message("${n.x.y}"),
            "`n` has no field `x`: it isn't a map, in `${n.x.y}`"
        );
        assert!(message("${nope | upper}").starts_with("no variable `nope`"));
    }

    #[test]
    fn an_object_is_no_text() {
        let message = |template: &str| render_string(template, &scope()).expect_err("an object").to_string();
        assert_eq!(
            message("Bearer ${secret}"),
            "`${secret}` is an object; did you mean `${secret.token}`?, in `Bearer ${secret}`"
        );
        assert_eq!(
            message("${ r }"),
            "`${r}` is an object; did you mean `${r.header}` or `${r.items}`?, in `${ r }`"
        );
        assert_eq!(
            message("x${r if n else secret}"),
            "`${r if n else secret}` is an object; did you mean `${(r if n else secret).header}` or \
             `${(r if n else secret).items}`?, in `x${r if n else secret}`"
        );
        assert!(render(&json!({"${secret}": 1}), &scope()).is_err());
        assert_eq!(text("${secret}"), json!({"token": "abcdef", "name": "litellm-env"}));
        assert_eq!(text("x${r.items}"), json!("x[{\"name\":\"p\"}]"));
        assert_eq!(text("x${r.items[0] | tojson}"), json!("x{\"name\": \"p\"}"));
    }

    /// Such as a request's body, which is sent as JSON.
    #[test]
    fn an_object_in_a_place_for_any_value_is_one() {
        let object = json!({"token": "abcdef", "name": "litellm-env"});
        let body = json!({"body": {"name": "${secret}", "all": ["${ secret }"]}});
        assert_eq!(
            render(&body, &scope()),
            Ok(json!({"body": {"name": object, "all": [object]}}))
        );
        for longer in ["${secret} ", "x${secret}", "${secret}${n}", "$${${secret}"] {
            let error = render(&json!({"body": {"name": longer}}), &scope()).expect_err(longer);
            assert!(error.message.starts_with("`${secret}` is an object"), "{error}");
        }
    }

    #[test]
    fn random_values_come_from_the_seed() {
        let draw = |seed| {
            let scope = Scope::new(seed);
            let one = render_text("${token()}", &scope).expect("a token");
            let two = render_text("${token()}", &scope.clone()).expect("a token");
            (one, two)
        };
        let (one, two) = draw(1);
        assert_ne!(one, two);
        assert_eq!(draw(1), (one.clone(), two));
        assert_ne!(draw(2).0, one);
        let token = one.as_str().expect("a text").to_owned();
        assert!(token.len() == 64 && token.chars().all(|c| c.is_ascii_hexdigit()));
    }

    #[test]
    fn keys_are_templates_too() {
        let value = json!({"${secret.name}": ["${n}"]});
        assert_eq!(render(&value, &scope()), Ok(json!({"litellm-env": [3]})));
    }

    proptest! {
        #[test]
        fn a_text_without_templates_is_itself(text in "[^$]{0,40}") {
            prop_assert_eq!(render_text(&text, &scope()), Ok(json!(text)));
        }

        #[test]
        fn never_panics(text in "(\\$\\{|[ a-z'\"{}()|.\\[\\]:0-9+~-]){0,30}") {
            let _ = render_text(&text, &scope());
        }
    }
}
