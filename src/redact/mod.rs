//! Secrets that don't print, and the one redactor that all output passes.

mod audit;
mod automaton;
mod decode;
mod forms;
mod leaks;
mod secret;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use automaton::Chunk;
use forms::Every;

pub use audit::{Audit, AuditError};
pub use forms::Form;
pub use leaks::Leak;
pub use secret::{RedactError, Secret};

/// Shortest value that can be a secret, in characters: shorter ones stand in any
/// text by chance, and taking them out would shred it.
pub const SHORTEST: usize = 6;

/// Longest value that can be a secret, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// Rounds after which a text whose placeholders make up ever new secrets is given up.
const ROUNDS: usize = 16;

/// Secrets of one automaton, where there may be thousands.
const AT_ONCE: usize = 512;

/// What stands for a text that was given up.
const WITHHELD: &str = "[text withheld: its secrets could not be taken out]";

/// Knows the secrets of a run and takes them out of texts, in whatever form they
/// stand there. Clones share what they know, and so do those with a scope of their own.
///
/// ```
/// use gauntlet::redact::Redactor;
///
/// let redactor = Redactor::new();
/// redactor.add("TOKEN", "0123456789abcdef")?;
/// assert_eq!(redactor.redact("GET /tty?token=0123456789abcdef"), "GET /tty?token=$TOKEN");
/// assert_eq!(redactor.redact("MDEyMzQ1Njc4OWFiY2RlZg=="), "$TOKEN");
/// # Ok::<(), gauntlet::redact::RedactError>(())
/// ```
#[derive(Clone, Default)]
pub struct Redactor {
    state: Arc<RwLock<State>>,
    /// The number of the scope that its secrets are of; 0 lasts.
    scope: usize,
}

/// A secret's name and value.
type Named = (Arc<str>, SecretString);

#[derive(Default)]
struct State {
    scopes: BTreeMap<usize, Known>,
    /// The number of the last scope.
    last: usize,
    /// Secrets of scopes that are over.
    retired: Vec<Named>,
}

/// The secrets of a scope.
#[derive(Default)]
struct Known {
    secrets: Vec<Named>,
    /// Automata of the first secrets, in order, sizes falling.
    chunks: Vec<Arc<Chunk>>,
    /// How many secrets the automata know.
    indexed: usize,
}

/// A place in a text where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// The secret's name.
    pub name: String,
    pub form: Form,
    /// Bytes before it.
    pub offset: usize,
}

impl Redactor {
    /// Knows no secret yet.
    pub fn new() -> Redactor {
        Redactor::default()
    }

    /// Makes `value` a secret: from now on it is replaced by `$NAME`.
    ///
    /// The name becomes one that a shell variable can have: `secret.token` is
    /// `$SECRET_TOKEN`. A name may get several values (after a rotation), all of
    /// them are secrets then. A value that has a name already keeps it.
    pub fn add(&self, name: &str, value: &str) -> Result<Secret, RedactError> {
        let name: Arc<str> = secret::variable(name).into();
        let characters = value.chars().count();
        if characters < SHORTEST {
            return Err(RedactError::TooShort { name, characters });
        }
        if value.len() > LONGEST {
            let bytes = value.len();
            return Err(RedactError::TooLong { name, bytes });
        }
        Ok(self.insert(name, value))
    }

    /// Plants a canary: a random secret under this name. Where it turns up in
    /// the run's own output, something went past the redactor.
    pub fn plant(&self, name: &str) -> Secret {
        let value = format!("canary-{:032x}", rand::random::<u128>());
        self.insert(secret::variable(name).into(), &value)
    }

    /// One with secrets of its own, until they are [retired](Redactor::retire). All take them out until then.
    pub fn scope(&self) -> Redactor {
        let mut state = self.write();
        state.last += 1;
        Redactor {
            state: self.state.clone(),
            scope: state.last,
        }
    }

    /// Forgets the secrets of its scope, since all that could hold them has been put out. Only the
    /// search at the end of the run still knows them. Those of the first scope last.
    pub fn retire(&self) {
        let mut state = self.write();
        if self.scope > 0
            && let Some(known) = state.scopes.remove(&self.scope)
        {
            state.retired.extend(known.secrets);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, name: Arc<str>, value: &str) -> Secret {
        let mut state = self.write();
        let all = state.scopes.iter().flat_map(|(scope, known)| {
            let of = |secret| (*scope, secret);
            known.secrets.iter().map(of)
        });
        let found = all
            .filter(|(_, (_, known))| known.expose_secret() == value)
            .map(|(scope, secret)| (scope, secret.clone()));
        let found: Vec<(usize, Named)> = found.collect();
        let (name, value) = match found.first() {
            Some((_, named)) => named.clone(),
            None => (name, SecretString::from(value)),
        };
        // What only another scope knows is forgotten when that one is over.
        if !found.iter().any(|(scope, _)| *scope == 0 || *scope == self.scope) {
            let known = state.scopes.entry(self.scope).or_default();
            known.secrets.push((name.clone(), value.clone()));
        }
        Secret::new(name, value)
    }

    /// `text` with `$NAME` wherever a secret stands in any of its forms.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.redact_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(
                String::from_utf8(bytes).expect("forms are whole characters, and so is what is left between them"),
            ),
        }
    }

    /// The same for bytes that need not be text.
    pub fn redact_bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        let chunks = self.chunks();
        let mut out = Cow::Borrowed(bytes);
        // A second round is needed where a placeholder and what stands beside it
        // happen to make up another secret.
        for _ in 0..ROUNDS {
            let found = automaton::find(&chunks, &out);
            if found.secrets.is_empty() {
                return out;
            }
            out = Cow::Owned(found.replace(&out));
        }
        Cow::Owned(WITHHELD.as_bytes().to_vec())
    }

    /// The same for all strings in a value, keys among them. A number that holds
    /// a secret becomes a string.
    pub fn redact_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact(text).into_owned()),
            Value::Array(values) => values.iter().map(|v| self.redact_json(v)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(k, v)| (self.redact(k).into_owned(), self.redact_json(v)))
                .collect(),
            Value::Number(number) => match self.redact(&number.to_string()) {
                Cow::Borrowed(_) => value.clone(),
                Cow::Owned(text) => Value::String(text),
            },
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    /// Where secrets stand, in order. A form within a longer one isn't told apart,
    /// and a placeholder isn't a secret even where a value happens to be a part of it.
    pub fn search(&self, bytes: &[u8]) -> Vec<Found> {
        search(&self.chunks(), bytes)
    }

    /// The automata of all secrets of the scopes that are not over.
    fn chunks(&self) -> Vec<Arc<Chunk>> {
        {
            let state = self.read();
            if state.scopes.values().all(Known::is_indexed) {
                return state.scopes.values().flat_map(|known| known.chunks.clone()).collect();
            }
        }
        let mut state = self.write();
        state.scopes.values_mut().for_each(Known::index);
        state.scopes.values().flat_map(|known| known.chunks.clone()).collect()
    }

    /// The automata of the secrets of scopes that are over.
    fn retired_chunks(&self) -> Vec<Arc<Chunk>> {
        let retired = self.read().retired.clone();
        let of = |secrets: &[Named]| Arc::new(Chunk::new(named(secrets), Every::Length));
        retired.chunks(AT_ONCE).map(of).collect()
    }
}

impl Known {
    fn is_indexed(&self) -> bool {
        self.indexed == self.secrets.len()
    }

    /// A new automaton is made for the secrets that came since the last time, and joined with its
    /// neighbours of the same size or less: so a secret goes into few automata over time, and there
    /// are few of them.
    fn index(&mut self) {
        let mut first = self.indexed;
        while let Some(last) = self.chunks.last() {
            if last.secrets > self.secrets.len() - first {
                break;
            }
            first -= last.secrets;
            self.chunks.pop();
        }
        if first < self.secrets.len() {
            let chunk = Chunk::new(named(&self.secrets[first..]), Every::Offset);
            self.chunks.push(Arc::new(chunk));
        }
        self.indexed = self.secrets.len();
    }
}

fn search(chunks: &[Arc<Chunk>], bytes: &[u8]) -> Vec<Found> {
    let found = automaton::find(chunks, bytes).secrets;
    let place = |m: &automaton::Match| Found {
        name: m.name.to_owned(),
        form: m.form,
        offset: m.start,
    };
    found.iter().map(place).collect()
}

fn named(secrets: &[Named]) -> impl Iterator<Item = (&Arc<str>, &str)> {
    secrets.iter().map(|(name, value)| (name, value.expose_secret()))
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets: usize = self.read().scopes.values().map(|known| known.secrets.len()).sum();
        write!(f, "Redactor({secrets} secrets)")
    }
}
