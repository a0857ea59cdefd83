//! Texts that are seen again where they were shown.

use rand::RngExt;

/// A text that nothing else shows: 12 letters.
pub fn nonce() -> String {
    let mut random = rand::rng();
    (0..12).map(|_| random.random_range(b'a'..=b'z') as char).collect()
}
