//! Secrets that don't print, and the one redactor that all output passes.

mod audit;
mod automaton;
mod decode;
mod forms;
mod leaks;
mod secret;
mod stream;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use automaton::Chunk;

pub use audit::{Audit, AuditError};
pub use forms::Form;
pub use leaks::Leak;
pub use secret::{RedactError, Secret};
pub use stream::RedactingWriter;

/// Shortest value that can be a secret, in characters: shorter ones stand in any
/// text by chance, and taking them out would shred it.
pub const SHORTEST: usize = 6;

/// Longest value that can be a secret, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// Rounds after which a text whose placeholders make up ever new secrets is given up.
const ROUNDS: usize = 16;

/// What stands for a text that was given up.
const WITHHELD: &str = "[text withheld: its secrets could not be taken out]";

/// Knows the secrets of a run and takes them out of texts, in whatever form they
/// stand there. Clones share what they know.
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
}

#[derive(Default)]
struct State {
    secrets: Vec<(Arc<str>, SecretString)>,
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

    fn insert(&self, name: Arc<str>, value: &str) -> Secret {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let known = state
            .secrets
            .iter()
            .find(|(_, known)| known.expose_secret() == value)
            .cloned();
        let (name, value) = known.unwrap_or_else(|| {
            let secret = (name, SecretString::from(value));
            state.secrets.push(secret.clone());
            secret
        });
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
        automaton::find(&self.chunks(), bytes)
            .secrets
            .iter()
            .map(|m| Found {
                name: m.name.to_owned(),
                form: m.form,
                offset: m.start,
            })
            .collect()
    }

    /// A writer that passes on to `inner` what is written, redacted, also where a
    /// secret comes in pieces.
    pub fn writer<W: std::io::Write>(&self, inner: W) -> RedactingWriter<W> {
        RedactingWriter::new(self.clone(), inner)
    }

    /// The automata of all secrets. A new one is made for those that came since
    /// the last call, and joined with its neighbours of the same size or less:
    /// so a secret goes into few automata over time, and there are few of them.
    fn chunks(&self) -> Vec<Arc<Chunk>> {
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if state.indexed == state.secrets.len() {
                return state.chunks.clone();
            }
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let mut first = state.indexed;
        while let Some(last) = state.chunks.last() {
            if last.secrets > state.secrets.len() - first {
                break;
            }
            first -= last.secrets;
            state.chunks.pop();
        }
        if first < state.secrets.len() {
            let fresh = state.secrets[first..]
                .iter()
                .map(|(name, value)| (name, value.expose_secret()));
            state.chunks.push(Arc::new(Chunk::new(fresh)));
        }
        state.indexed = state.secrets.len();
        state.chunks.clone()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Redactor({} secrets)", state.secrets.len())
    }
}
