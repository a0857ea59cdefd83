//! Variables and what templates can do with them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value as EngineValue};
use minijinja::{Environment, UndefinedBehavior};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

/// Functions of templates, with what they give.
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("token", "a random token: 64 hexadecimal digits"),
    ("nonce", "a random word of 12 letters"),
];

/// Filters of templates that gauntlet adds to those of Jinja, with what they do.
pub const FILTERS: &[(&str, &str)] = &[
    ("percent", "percent-encodes every byte"),
    ("percent_once", "percent-encodes what a URL's query needs encoded"),
    ("base64", "base64 of the text's bytes"),
    ("repeat", "the text so many times: `repeat(3)`"),
    (
        "swap_case",
        "the text with small letters for capital ones, and the reverse",
    ),
];

/// Where random values come from.
type Generator = Arc<Mutex<StdRng>>;

/// Longest text that a filter makes.
const MAX_REPEATED: usize = 64 * 1024 * 1024;

/// The variables that templates see.
///
/// Names may contain `-`, which is the same as `_`: `master-key` and `master_key` are one
/// variable. Random values come from a generator that the scope's seed starts, and that
/// clones of the scope share.
#[derive(Clone)]
pub struct Scope {
    variables: Arc<IndexMap<String, Value>>,
    engine: Arc<Environment<'static>>,
}

impl Scope {
    pub fn new(seed: u64) -> Scope {
        let generator = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Scope {
            variables: Arc::default(),
            engine: Arc::new(engine(&generator)),
        }
    }

    /// Sets a variable, or replaces it.
    pub fn set(&mut self, name: &str, value: Value) {
        Arc::make_mut(&mut self.variables).insert(canonical(name), value);
    }

    /// This scope and one variable more.
    pub fn with(&self, name: &str, value: Value) -> Scope {
        let mut scope = self.clone();
        scope.set(name, value);
        scope
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.variables.get(&canonical(name))
    }

    /// What stands at a path: a variable, and fields of it, as templates name them.
    pub(crate) fn at(&self, path: &[String]) -> Option<&Value> {
        let (root, fields) = path.split_first()?;
        fields
            .iter()
            .try_fold(self.get(root)?, |value, field| lookup(value.as_object()?, field))
    }

    /// The names of the variables, `-` written as `_`.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.variables.keys().map(String::as_str)
    }

    pub(crate) fn engine(&self) -> &Environment<'static> {
        &self.engine
    }

    /// The variables as the template engine's context; nothing is copied until it is used.
    pub(crate) fn context(&self) -> EngineValue {
        EngineValue::from_object(Root(Arc::clone(&self.variables)))
    }
}

impl fmt::Debug for Scope {
    /// Names only: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// The form in which names are compared.
pub fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

fn engine(generator: &Generator) -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine.add_filter("percent", |text: &str| percent_encode_all(text.as_bytes()));
    engine.add_filter("percent_once", |text: &str| {
        utf8_percent_encode(text, QUERY).to_string()
    });
    engine.add_filter("base64", |text: &str| {
        base64::engine::general_purpose::STANDARD.encode(text)
    });
    engine.add_filter("swap_case", swap_case);
    engine.add_filter("repeat", |text: &str, times: usize| {
        match text.len().checked_mul(times) {
            Some(length) if length <= MAX_REPEATED => Ok(text.repeat(times)),
            _ => Err(minijinja::Error::new(
                minijinja::ErrorKind::InvalidOperation,
                format!("repeat makes a text of more than {MAX_REPEATED} bytes"),
            )),
        }
    });
    let draw = Arc::clone(generator);
    engine.add_function("token", move || -> String {
        let bytes: [u8; 32] = random(&draw).random();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    let draw = Arc::clone(generator);
    engine.add_function("nonce", move || -> String {
        let mut generator = random(&draw);
        (0..12).map(|_| generator.random_range('a'..='z')).collect()
    });
    engine
}

fn swap_case(text: &str) -> String {
    let swapped = |letter: char| match letter.is_ascii_uppercase() {
        true => letter.to_ascii_lowercase(),
        false => letter.to_ascii_uppercase(),
    };
    text.chars().map(swapped).collect()
}

/// A generator is good whatever happened to another holder of its lock.
fn random(generator: &Generator) -> std::sync::MutexGuard<'_, StdRng> {
    generator.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything but what RFC 3986 §2.3 calls unreserved.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn percent_encode_all(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// The variables as an object of the template engine.
#[derive(Debug)]
struct Root(Arc<IndexMap<String, Value>>);

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &EngineValue) -> Option<EngineValue> {
        self.0.get(key.as_str()?).map(to_engine)
    }
}

/// A JSON map whose keys can be named with `_` for `-`.
#[derive(Debug)]
struct Map(serde_json::Map<String, Value>);

impl Object for Map {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &EngineValue) -> Option<EngineValue> {
        lookup(&self.0, key.as_str()?).map(to_engine)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(|key| EngineValue::from(key.as_str())).collect())
    }
}

/// The value of a key; where there is none, of the one that differs only in `-` and `_`.
pub(crate) fn lookup<'v>(map: &'v serde_json::Map<String, Value>, key: &str) -> Option<&'v Value> {
    map.get(key).or_else(|| {
        let key = canonical(key);
        map.iter()
            .find(|(known, _)| canonical(known) == key)
            .map(|(_, value)| value)
    })
}

fn to_engine(value: &Value) -> EngineValue {
    match value {
        Value::Null => EngineValue::from(()),
        Value::Bool(b) => EngineValue::from(*b),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => EngineValue::from(n),
            (None, Some(n)) => EngineValue::from(n),
            (None, None) => EngineValue::from(n.as_f64()),
        },
        Value::String(text) => EngineValue::from(text.as_str()),
        Value::Array(items) => items.iter().map(to_engine).collect(),
        Value::Object(map) => EngineValue::from_object(Map(map.clone())),
    }
}
