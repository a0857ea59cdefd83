//! One version of an object, shared by all who read it.

use std::ops::Deref;
use std::sync::OnceLock;

use bytes::Bytes;
use serde_json::Value;

/// One version of an object. It never changes: a write makes a new one.
pub struct Object {
    value: Value,
    json: OnceLock<Bytes>,
}

impl Object {
    pub fn new(value: Value) -> Object {
        Object {
            value,
            json: OnceLock::new(),
        }
    }

    /// The object as JSON; made once, however many clients get or watch it.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| Bytes::from(self.value.to_string())).clone()
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn name(&self) -> &str {
        text(&self.value["metadata"]["name"])
    }

    /// Empty for objects outside of namespaces.
    pub fn namespace(&self) -> &str {
        text(&self.value["metadata"]["namespace"])
    }

    pub fn uid(&self) -> &str {
        text(&self.value["metadata"]["uid"])
    }

    /// `metadata.resourceVersion` as the number that it is here.
    pub fn version(&self) -> u64 {
        text(&self.value["metadata"]["resourceVersion"]).parse().unwrap_or(0)
    }

    /// Whether deletion was asked for and the object is still there.
    pub fn deleting(&self) -> bool {
        self.value["metadata"]["deletionTimestamp"].is_string()
    }

    /// The uid of the owner that is its controller.
    pub fn controller(&self) -> Option<&str> {
        owners(&self.value)
            .find(|owner| owner["controller"] == Value::Bool(true))
            .and_then(|owner| owner["uid"].as_str())
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// The entries of `metadata.ownerReferences`.
pub fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    items(&object["metadata"]["ownerReferences"])
}

/// The elements of an array; of anything else none.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A string's text; of anything else the empty text.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The time as Kubernetes writes it in objects: whole seconds, UTC, never in the future.
pub fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time with microseconds, as in Events and Leases.
pub fn micro_time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// A random UUID.
pub fn new_uid() -> String {
    let random: u128 = rand::random();
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// A random suffix in the alphabet that Kubernetes uses: no vowels, nothing easily mistaken.
pub fn random_suffix(length: usize) -> String {
    (0..length)
        .map(|_| safe_letter(rand::random::<u32>() as usize))
        .collect()
}

/// One letter of the alphabet for generated names.
pub fn safe_letter(number: usize) -> char {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    char::from(LETTERS[number % LETTERS.len()])
}
