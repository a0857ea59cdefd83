//! Values that can't be names of an installation, and why.

use std::num::NonZeroU16;

/// Why a value can't be that of a name.
pub fn refuse_name(name: &str, value: &str) -> Option<String> {
    let (group, leaf) = name.split_once('.').unwrap_or_default();
    let path = |c: char| c.is_ascii_graphic() && !"?#\"".contains(c);
    match leaf {
        _ if value.is_empty() => Some(format!("`{name}` must not be empty")),
        "port" | "tls-port" if value.parse::<NonZeroU16>().is_err() => {
            Some(format!("`{name}` is a port from 1 to 65535, not `{value}`"))
        }
        "path" if !value.starts_with('/') || !value.chars().all(path) => Some(format!(
            "`{name}` is a path that starts with `/` and has no blanks, `?` or `#`, not `{value}`"
        )),
        "path" if value.ends_with('/') && group != "tty" => Some(format!(
            "`{name}` does not end in `/`: what is below it comes with its own"
        )),
        "name" | "deployment" if !is_kubernetes_name(value) => Some(format!(
            "`{name}` is a name in Kubernetes: lower case letters, digits, `-` and `.`, not `{value}`"
        )),
        "parameter" if !value.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)) => Some(format!(
            "`{name}` is the name of a query parameter: letters, digits, `-`, `_`, `.` and `~`, not `{value}`"
        )),
        "label" if !value.chars().all(|c| c.is_ascii_alphanumeric() || "-._/".contains(c)) => Some(format!(
            "`{name}` is the name of a label: letters, digits, `-`, `_`, `.` and `/`, not `{value}`"
        )),
        "key" | "master-key" if !value.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) => Some(
            format!("`{name}` is a key of a Secret: letters, digits, `-`, `_` and `.`, not `{value}`"),
        ),
        _ => None,
    }
}

/// RFC 1123, as the names of a Secret and a Deployment are.
fn is_kubernetes_name(text: &str) -> bool {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(lower) && text.ends_with(lower) && text.chars().all(|c| lower(c) || "-.".contains(c))
}
