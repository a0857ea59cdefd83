//! The templates of a file: their syntax, and whether what they name is there by then.

use std::sync::LazyLock;

use indexmap::IndexMap;
use minijinja::{Environment, ErrorKind};
use serde_json::Value;

use super::step::Read;
use super::texts;
use super::variables;
use crate::steps::Verb;
use crate::template::expression::{self, Name, Piece, Use};
use crate::template::{FILTERS, FUNCTIONS, Scope, canonical, lookup};
use crate::template::{explain, object_for_text};
use crate::vocabulary::similar::{nearest, suggestion};
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};
use crate::yaml::{Source, Span};

/// Functions and filters are looked up here; nothing is drawn from it.
static LANGUAGE: LazyLock<Scope> = LazyLock::new(|| Scope::new(0));

/// Variables that every scenario has, with the fields that they have.
static BUILT_IN: LazyLock<Value> = LazyLock::new(variables::example);

/// Filters and tests of Jinja that are worth suggesting.
const JINJA: [&str; 16] = [
    "upper", "lower", "reverse", "replace", "trim", "length", "first", "last", "join", "split", "default", "int",
    "string", "tojson", "defined", "none",
];

/// What is known of a variable's fields.
#[derive(Clone, Debug)]
enum Fields {
    Any,
    /// What a verb observes: the first part must be one of its fields, of which some are objects.
    Observed {
        known: &'static [&'static str],
        objects: &'static [&'static str],
    },
    BuiltIn,
}

/// The variables that are set by now.
#[derive(Clone, Debug)]
pub(super) struct Known {
    variables: IndexMap<String, Fields>,
    /// Names that later steps set, and the line of the first that does.
    later: IndexMap<String, u32>,
}

impl Known {
    /// What every scenario has.
    pub fn built_in() -> Known {
        let names = BUILT_IN.as_object().into_iter().flat_map(|map| map.keys());
        Known {
            variables: names.map(|name| (canonical(name), Fields::BuiltIn)).collect(),
            later: IndexMap::new(),
        }
    }

    /// Whether a name is reserved, so that no scenario can set it.
    pub fn is_built_in(name: &str) -> bool {
        BUILT_IN.as_object().is_some_and(|map| lookup(map, name).is_some())
    }

    pub fn set(&mut self, name: &str) {
        self.variables.insert(canonical(name), Fields::Any);
    }

    /// Sets a name to what a verb observes.
    pub fn bind(&mut self, name: &str, verb: &'static Verb) {
        let fields = if verb.fields.is_empty() {
            Fields::Any
        } else {
            Fields::Observed {
                known: verb.fields,
                objects: verb.objects,
            }
        };
        self.variables.insert(canonical(name), fields);
    }

    pub fn set_later(&mut self, name: &str, line: u32) {
        self.later.entry(canonical(name)).or_insert(line);
    }

    /// Checks the templates of a node, those in its keys too.
    pub fn check(&self, node: &Node, checker: &mut Checker) {
        match &node.kind {
            Kind::Text(text) => self.check_text(text, node.span, false, checker),
            Kind::List(items) => items.iter().for_each(|item| self.check(item, checker)),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    self.check_text(&key.name, key.span, true, checker);
                    self.check(value, checker);
                }
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
        }
    }

    /// Checks that no variable that is an object stands where a step has a text.
    pub fn check_texts(&self, read: &Read<'_>, checker: &mut Checker) {
        for (place, node) in texts::places(read.verb.name, read.node) {
            let Some(text) = node.as_text() else { continue };
            if let Ok(pieces) = expression::split(text)
                && let [Piece::Expression(source, at)] = pieces.as_slice()
            {
                self.check_object(text, node.span, source, at.start, place, checker);
            }
        }
    }

    /// Checks a text with templates. `stays`: it is a text also where it is nothing but one expression.
    fn check_text(&self, text: &str, span: Span, stays: bool, checker: &mut Checker) {
        if !expression::is_template(text) {
            return;
        }
        match expression::split(text) {
            Err(unclosed) => {
                let at = locate(checker, text, span, unclosed.at, 2);
                checker.report_with_help(at, "`${` without `}`", "a plain `${` is written `$${`");
            }
            Ok(pieces) => {
                let is_text = stays || pieces.len() > 1;
                for piece in pieces {
                    if let Piece::Expression(source, at) = piece {
                        self.check_expression(text, span, &source, at.start, checker);
                        if is_text {
                            self.check_object(text, span, &source, at.start, "", checker);
                        }
                    }
                }
            }
        }
    }

    /// Reports an expression that must give a text and is a variable that is an object.
    fn check_object(&self, text: &str, span: Span, source: &str, start: usize, place: &str, checker: &mut Checker) {
        let Some(name) = expression::variable(source) else {
            return;
        };
        let Some(fields) = self.fields_of(&name.path) else {
            return;
        };
        let source = source.trim();
        let (message, mut help) = object_for_text(source, fields.iter().copied(), place);
        if fields.is_empty() {
            help = format!("name a field of it, or write its JSON with `${{{source} | tojson}}`");
        }
        let at = locate(checker, text, span, start + name.at, source.len());
        checker.report_with_help(at, message, help);
    }

    /// The fields of a variable, or of a field of it, where it is known to be an object; none of them where they are
    /// not known.
    fn fields_of(&self, path: &[String]) -> Option<Vec<&str>> {
        let (root, fields) = path.split_first()?;
        match self.variables.get(&canonical(root))? {
            Fields::Observed { known, objects } => match fields {
                [] => Some(known.to_vec()),
                [field] if objects.contains(&field.as_str()) => Some(Vec::new()),
                _ => None,
            },
            Fields::BuiltIn => {
                let value = lookup(BUILT_IN.as_object()?, root)?;
                let inner = fields
                    .iter()
                    .try_fold(value, |value, field| lookup(value.as_object()?, field))?;
                Some(inner.as_object()?.keys().map(String::as_str).collect())
            }
            Fields::Any => None,
        }
    }

    fn check_expression(&self, text: &str, span: Span, source: &str, start: usize, checker: &mut Checker) {
        let compiled = LANGUAGE
            .engine()
            .compile_expression_owned(expression::for_engine(source));
        if let Err(error) = compiled {
            let range = error.range().unwrap_or(0..source.len());
            let at = locate(checker, text, span, start + range.start, range.len());
            checker.report(at, format!("`{}` isn't valid: {}", source.trim(), explain(&error)));
            return;
        }
        for name in expression::names(source) {
            let Some(written) = name.path.first() else { continue };
            let at = locate(checker, text, span, start + name.at, written.len());
            match name.usage {
                Use::Variable => self.check_variable(&name, at, checker),
                Use::Function => {
                    let functions = FUNCTIONS.iter().map(|(name, _)| *name);
                    // A variable can hold nothing that could be called.
                    if unknown(&format!("{written}()"), ErrorKind::UnknownFunction) {
                        let help = suggestion(written, functions, "functions");
                        checker.report_with_help(at, format!("no function `{written}`"), help);
                    }
                }
                Use::Filter => {
                    if unknown(&format!("'' | {written}"), ErrorKind::UnknownFilter) {
                        let filters = FILTERS.iter().map(|(name, _)| *name).chain(JINJA);
                        let help = suggestion(written, filters, "filters");
                        checker.report_with_help(at, format!("no filter `{written}`"), help);
                    }
                }
                Use::Test => {
                    if unknown(&format!("'' is {written}"), ErrorKind::UnknownTest) {
                        let help = suggestion(written, JINJA, "tests");
                        checker.report_with_help(at, format!("no test `{written}`"), help);
                    }
                }
            }
        }
    }

    fn nearest_later(&self, name: &str) -> Option<(&str, u32)> {
        let near = nearest(&canonical(name), self.later.keys().map(String::as_str))?;
        Some((near, *self.later.get(near)?))
    }

    fn check_variable(&self, name: &Name, at: Span, checker: &mut Checker) {
        let Some((root, fields)) = name.path.split_first() else {
            return;
        };
        let Some(known) = self.variables.get(&canonical(root)) else {
            if let Some(line) = self.later.get(&canonical(root)) {
                let message = format!("`{root}` is set only later, in line {line}");
                checker.report_with_help(at, message, "a step sees what the steps before it set");
                return;
            }
            let names = self.variables.keys().map(String::as_str);
            let near = nearest(&canonical(root), names.clone());
            let help = match (near, self.nearest_later(root)) {
                (Some(near), _) => format!("did you mean `{}`?", written(near)),
                (None, Some((near, line))) => {
                    format!("did you mean `{near}`, which line {line} sets only later?")
                }
                (None, None) => format!("set by now: {}", names.map(written).collect::<Vec<_>>().join(", ")),
            };
            checker.report_with_help(at, format!("no variable `{root}`"), help);
            return;
        };
        match known {
            Fields::Any => {}
            Fields::Observed { known, .. } => {
                if let Some(field) = fields.first()
                    && !known.iter().any(|known| canonical(known) == canonical(field))
                {
                    let help = suggestion(field, known.iter().copied(), "fields");
                    checker.report_with_help(at, format!("`{root}` has no field `{field}`"), help);
                }
            }
            Fields::BuiltIn => check_built_in(root, fields, at, checker),
        }
    }
}

fn check_built_in(root: &str, fields: &[String], at: Span, checker: &mut Checker) {
    let Some(mut value) = BUILT_IN.as_object().and_then(|map| lookup(map, root)) else {
        return;
    };
    let mut path = root.to_owned();
    for field in fields {
        let Value::Object(map) = value else {
            checker.report(at, format!("`{path}` is a text and has no field `{field}`"));
            return;
        };
        match lookup(map, field) {
            Some(inner) => value = inner,
            None => {
                let help = suggestion(field, map.keys().map(String::as_str), "fields");
                checker.report_with_help(at, format!("`{path}` has no field `{field}`"), help);
                return;
            }
        }
        path = format!("{path}.{field}");
    }
}

/// A name as a file would write it. Only the built-in ones were written with a hyphen for sure.
fn written(name: &str) -> String {
    match Known::is_built_in(name) {
        true => name.replace('_', "-"),
        false => name.to_owned(),
    }
}

/// Whether the engine knows no such name: it says so when it needs it.
fn unknown(probe: &str, kind: ErrorKind) -> bool {
    let engine: &Environment<'_> = LANGUAGE.engine();
    match engine.compile_expression(probe) {
        Ok(expression) => expression.eval(()).is_err_and(|error| error.kind() == kind),
        Err(error) => error.kind() == kind,
    }
}

/// The place in the file of a stretch of a text's value. Escapes, folding and indentation stand
/// between the two, so the stretch is found from the `${` before it.
fn locate(checker: &Checker, value: &str, span: Span, at: usize, length: usize) -> Span {
    let source: &Source = &checker.source;
    let raw = source.text.get(span.start..span.end).unwrap_or("");
    let before = value.get(..(at + 2).min(value.len())).unwrap_or(value);
    let (count, last) = match before.matches("${").count() {
        0 => return span,
        count => (count, before.rfind("${").unwrap_or(0)),
    };
    let Some((open, _)) = raw.match_indices("${").nth(count - 1) else {
        return span;
    };
    let start = span.start + open + at.saturating_sub(last);
    match source.text.get(start..start + length) {
        Some(_) if start + length <= span.end => Span::of(source, start..start + length),
        _ => span,
    }
}
