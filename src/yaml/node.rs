//! YAML as a tree in which every key and every value knows its place.
//!
//! Of gauntlet's own files the subset is what JSON can say: no anchors, aliases or tags (a scenario has
//! `vars`), no duplicate keys, one document, keys are texts. A [stream](read_stream) that others wrote has
//! many documents, and the rest of YAML.

use std::sync::Arc;

use serde_json::{Number, Value};

use super::problem::Problem;
use super::reader::{Language, Reader};
use super::source::{Source, Span};

/// Longest text of a file. Nothing that a person writes comes near.
pub const MAX_BYTES: usize = 256 * 1024;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub span: Span,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub name: String,
    pub span: Span,
}

impl Node {
    /// What it is, in words: `a list`, `the number 3`.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(b) => b.to_string(),
            Kind::Number(n) => format!("the number {n}"),
            Kind::Text(t) if t.chars().count() <= 40 => format!("the text {t:?}"),
            Kind::Text(_) => "a text".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&[(Key, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let (_, value) = self.as_map()?.iter().find(|(key, _)| key.name == name)?;
        Some(value)
    }

    /// The value without places.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Number(n) => Value::Number(n.clone()),
            Kind::Text(t) => Value::String(t.clone()),
            Kind::List(items) => items.iter().map(Node::to_value).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.to_value()))
                    .collect(),
            ),
        }
    }

    /// A tree without places, for values that don't come from a file.
    pub fn from_value(value: &Value) -> Node {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(b) => Kind::Bool(*b),
            Value::Number(n) => Kind::Number(n.clone()),
            Value::String(t) => Kind::Text(t.clone()),
            Value::Array(items) => Kind::List(items.iter().map(Node::from_value).collect()),
            Value::Object(map) => Kind::Map(
                map.iter()
                    .map(|(name, value)| {
                        let key = Key {
                            name: name.clone(),
                            span: Span::default(),
                        };
                        (key, Node::from_value(value))
                    })
                    .collect(),
            ),
        };
        Node {
            kind,
            span: Span::default(),
        }
    }
}

/// Reads a YAML text. Where the text can't be read at all there is no tree; problems
/// that leave a tree (a duplicate key) come beside it.
pub fn read(source: &Arc<Source>) -> (Option<Node>, Vec<Problem>) {
    if source.text.len() > MAX_BYTES {
        let problem = Problem::of_file(
            source,
            format!("the file has {} bytes; at most {MAX_BYTES} are read", source.text.len()),
        );
        return (None, vec![problem]);
    }
    let mut reader = Reader::new(source, Language::Json);
    match reader.document() {
        Ok(node) => (Some(node), reader.problems),
        Err(problem) => {
            reader.problems.push(*problem);
            (None, reader.problems)
        }
    }
}

/// Reads a stream of YAML documents that others wrote, with anchors, aliases, merge keys, tags and directives.
/// Documents that say nothing are left out. How long the text may be is for whoever reads it from a file to say.
///
/// # Errors
/// Where it can't be read to its end. Problems that leave trees (a duplicate key) come beside them.
pub fn read_stream(source: &Arc<Source>) -> Result<(Vec<Node>, Vec<Problem>), Box<Problem>> {
    let mut reader = Reader::new(source, Language::Yaml);
    let documents = reader.documents()?;
    Ok((documents, reader.problems))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Value {
        let (node, problems) = read(&Source::new("t.yaml", text));
        assert!(problems.is_empty(), "{problems:?}");
        node.expect("a tree").to_value()
    }

    #[test]
    fn scalars() {
        let got = value("[1, -2, 1.5, 1e3, 007, 0x1f, .5, yes, on, null, ~, true, '1', 1_000]");
        let want = serde_json::json!([
            1, -2, 1.5, 1000.0, "007", "0x1f", ".5", "yes", "on", null, null, true, "1", "1_000"
        ]);
        assert_eq!(got, want);
    }

    #[test]
    fn a_block_template_needs_no_quotes() {
        assert_eq!(
            value("token: ${secret.token}\nlist:\n  - ${old}\n"),
            serde_json::json!({"token": "${secret.token}", "list": ["${old}"]})
        );
    }

    #[test]
    fn places_are_lines_and_columns_of_characters() {
        let (node, _) = read(&Source::new("t.yaml", "ä: 1\nb:\n  - ü: xyz\n"));
        let node = node.expect("a tree");
        let b = node.get("b").expect("b");
        let Kind::List(items) = &b.kind else { panic!("a list") };
        let xyz = items[0].get("ü").expect("ü");
        assert_eq!((xyz.span.line, xyz.span.column), (3, 8));
        assert_eq!(xyz.span.end - xyz.span.start, 3);
    }

    fn stream(text: &str) -> Vec<Value> {
        let (nodes, problems) = read_stream(&Source::new("t.yaml", text)).expect("a stream");
        assert!(problems.is_empty(), "{problems:?}");
        nodes.iter().map(Node::to_value).collect()
    }

    #[test]
    fn a_stream_has_documents_with_all_of_yaml() {
        let text = "%YAML 1.1\n---\n# nothing\n---\na: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n---\n- !!str 1\n- !!int \"2\"\n- !own y\n---\n";
        assert_eq!(
            stream(text),
            [
                serde_json::json!({"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}}),
                serde_json::json!(["1", 2, "y"]),
            ]
        );
    }

    #[test]
    fn booleans_of_kubectl_are_booleans_of_a_stream_alone() {
        let text = "a: yes\nb: On\nc: NO\nd: off\ne: 'yes'\nf: !!str on\ng: y\n";
        assert_eq!(
            stream(text),
            [serde_json::json!({"a": true, "b": true, "c": false, "d": false, "e": "yes", "f": "on", "g": "y"})]
        );
        let (node, _) = read(&Source::new("t.yaml", "a: yes\nb: off\n"));
        assert_eq!(
            node.expect("a map").to_value(),
            serde_json::json!({"a": "yes", "b": "off"})
        );
    }

    /// Time that grows with the square of their number would be minutes.
    #[test]
    fn many_keys_are_read_soon() {
        let mut text: String = (0..100_000).map(|n| format!("key{n}: 1\n")).collect();
        text.push_str("key7: 2\n");
        let start = Instant::now();
        let (nodes, problems) = read_stream(&Source::new("t.yaml", text)).expect("a stream");
        assert_eq!(nodes[0].as_map().map(<[_]>::len), Some(100_000));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].message, "duplicate key `key7`");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn a_stream_that_multiplies_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let before = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{before}]\n"));
        }
        let refused = read_stream(&Source::new("t.yaml", text)).expect_err("too much");
        assert!(refused.message.contains("aliases"), "{}", refused.message);
        let of_itself = read_stream(&Source::new("t.yaml", "a: &a [*a]\n")).expect_err("of itself");
        assert!(of_itself.message.contains("alias"), "{}", of_itself.message);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = read(&Source::new("t.yaml", text));
        }

        #[test]
        fn never_panics_on_yaml_like(text in "([ \\-\\[\\]{},:?&*!|>'\"%#a-c0-9\n$]|\\$\\{){0,80}") {
            let _ = read(&Source::new("t.yaml", text.clone()));
            let _ = read_stream(&Source::new("t.yaml", text));
        }
    }
}
