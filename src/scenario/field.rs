//! Paths of fields: `status`, `body.tty_token`, `header.cache-control`, `items[0].name`,
//! `items[*].ready`, `data."a.b"`.

use serde_json::Value;

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Key(String),
    /// From 0; negative from the end.
    Index(i64),
    /// Every element of a list.
    Each,
}

/// The path of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath(Vec<Part>);

/// What stands at the end of a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<'v> {
    Value(&'v Value),
    /// The last part is not there, but what would hold it is.
    Absent,
    /// What would hold it is not there either, or is no map or list: nothing can be said of
    /// the field. The path of what is missing.
    Unknown(String),
}

impl FieldPath {
    /// Parses a path, or says why the text isn't one.
    pub fn parse(text: &str) -> Result<FieldPath, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            if let Some(inner) = rest.strip_prefix('[') {
                if parts.is_empty() {
                    return Err("a path starts with a key");
                }
                let Some((index, after)) = inner.split_once(']') else {
                    return Err("`[` without `]`");
                };
                let quoted =
                    index.len() >= 2 && ['"', '\''].iter().any(|q| index.starts_with(*q) && index.ends_with(*q));
                parts.push(match index {
                    "*" => Part::Each,
                    _ if quoted => Part::Key(index[1..index.len() - 1].to_owned()),
                    _ => match index.parse() {
                        Ok(n) => Part::Index(n),
                        Err(_) => return Err("in `[…]` stands a number, `*`, or a key in quotes"),
                    },
                });
                rest = after;
            } else {
                if !parts.is_empty() {
                    match rest.strip_prefix('.') {
                        Some(after) => rest = after,
                        None => return Err("after `]` stands `.`, `[` or nothing"),
                    }
                }
                let key = if let Some(inner) = rest.strip_prefix(['"', '\'']) {
                    let quote = &rest[..1];
                    let Some((key, after)) = inner.split_once(quote) else {
                        return Err("a quote that doesn't end");
                    };
                    rest = after;
                    key
                } else {
                    let end = rest.find(['.', '[', ']', '"']).unwrap_or(rest.len());
                    let (key, after) = rest.split_at(end);
                    if key.is_empty() {
                        return Err("a key is missing here");
                    }
                    rest = after;
                    key
                };
                parts.push(Part::Key(key.to_owned()));
            }
            if rest.is_empty() {
                return Ok(FieldPath(parts));
            }
        }
    }

    /// The first part: a field of the observation.
    pub fn root(&self) -> &str {
        match self.0.first() {
            Some(Part::Key(key)) => key,
            _ => "",
        }
    }

    /// What stands at this path, with the path that each was found at: one, or with `[*]` one
    /// for each element.
    pub fn find<'v>(&self, value: &'v Value) -> Vec<(String, Found<'v>)> {
        let mut found = Vec::new();
        walk(&self.0, value, String::new(), &mut found);
        found
    }
}

fn walk<'v>(parts: &[Part], value: &'v Value, path: String, out: &mut Vec<(String, Found<'v>)>) {
    let Some((part, rest)) = parts.split_first() else {
        out.push((path, Found::Value(value)));
        return;
    };
    // The observation itself is always there.
    let unknown = if path.is_empty() {
        "observation".to_owned()
    } else {
        path.clone()
    };
    let next = match (part, value) {
        (Part::Each, Value::Array(items)) => {
            if items.is_empty() {
                out.push((join(&path, parts), Found::Unknown(format!("element of {unknown}"))));
            }
            for (index, item) in items.iter().enumerate() {
                walk(rest, item, format!("{path}[{index}]"), out);
            }
            return;
        }
        (Part::Index(index), Value::Array(items)) => {
            let index = match usize::try_from(*index) {
                Ok(index) => Some(index),
                Err(_) => items.len().checked_sub(index.unsigned_abs() as usize),
            };
            index.and_then(|index| items.get(index))
        }
        (Part::Key(key), Value::Object(map)) => map.get(key),
        _ => {
            out.push((join(&path, parts), Found::Unknown(unknown)));
            return;
        }
    };
    let here = join(&path, &parts[..1]);
    match next {
        Some(value) => walk(rest, value, here, out),
        None if rest.is_empty() => out.push((here, Found::Absent)),
        None => out.push((join(&path, parts), Found::Unknown(here))),
    }
}

fn join(path: &str, parts: &[Part]) -> String {
    parts.iter().fold(path.to_owned(), |mut path, part| {
        match part {
            Part::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                let plain = !key.is_empty() && !key.contains(['.', '[', ']', '"', '\'']);
                match (plain, key.contains('"')) {
                    (true, _) => path.push_str(key),
                    (false, false) => path.push_str(&format!("\"{key}\"")),
                    (false, true) => path.push_str(&format!("'{key}'")),
                }
            }
            Part::Index(index) => path.push_str(&format!("[{index}]")),
            Part::Each => path.push_str("[*]"),
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(path: &str, value: &Value) -> Option<Value> {
        let path = FieldPath::parse(path).expect("a good path");
        match path.find(value).as_slice() {
            [(_, Found::Value(v))] => Some((*v).clone()),
            _ => None,
        }
    }

    #[test]
    fn forms() {
        let value = json!({"a": {"b-c": [1, {"d.e": 2}]}});
        assert_eq!(one("a.b-c[0]", &value), Some(json!(1)));
        assert_eq!(one("a.b-c[-1].\"d.e\"", &value), Some(json!(2)));
        assert_eq!(one("a.b-c[1]['d.e']", &value), Some(json!(2)));
        for bad in ["", ".a", "a.", "a..b", "a[", "a[x]", "[0]", "a[0]b", "a.\"b"] {
            assert!(FieldPath::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn absent_is_not_unknown() {
        let value = json!({"body": {"x": null}, "list": []});
        let find = |path: &str| {
            let path = FieldPath::parse(path).expect("a good path");
            path.find(&value).remove(0).1
        };
        assert_eq!(find("body.y"), Found::Absent);
        assert_eq!(find("close"), Found::Absent);
        assert_eq!(find("close.code"), Found::Unknown("close".to_owned()));
        assert_eq!(find("body.x.y"), Found::Unknown("body.x".to_owned()));
        assert_eq!(find("list[0]"), Found::Absent);
        assert_eq!(find("list[*].a"), Found::Unknown("element of list".to_owned()));
    }

    proptest! {
        #[test]
        fn never_panics_and_shows_what_it_reads(text in "[a-c.\\[\\]\"'*0-9ü-]{0,12}") {
            if let Ok(path) = FieldPath::parse(&text) {
                prop_assert_eq!(FieldPath::parse(&join("", &path.0)), Ok(path));
            }
        }
    }
}
