//! Label selectors that ask for equality, as text and as labels.

use std::collections::BTreeMap;

/// Labels as the platform's components take them: `app=web,tier=front`.
pub fn selector(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// The labels that a selector asks for; none if it asks for something other than equality.
pub fn labels(selector: &str) -> Option<BTreeMap<String, String>> {
    let label = |text: &str| {
        let (key, value) = text.split_once('=')?;
        let (key, value) = (key.trim(), value.strip_prefix('=').unwrap_or(value).trim());
        let plain = |text: &str| !text.is_empty() && !text.contains(|c: char| "!=()".contains(c) || c.is_whitespace());
        (plain(key) && plain(value)).then(|| (key.to_owned(), value.to_owned()))
    };
    selector.split(',').map(label).collect()
}
