//! One Kubernetes object as its manifest has it, every value with its place.

use std::sync::Arc;

use crate::scenario::node::{Kind, Node};
use crate::scenario::{Problem, Source, Span};

/// An object of a stream.
#[derive(Clone)]
pub struct Document {
    /// What is shown of the file: secrets are masked in it.
    pub source: Arc<Source>,
    pub root: Node,
}

impl std::fmt::Debug for Document {
    /// What it is: its values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Document").field(&self.title()).finish()
    }
}

/// What is below a value.
pub fn at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// The text below a value; empty where there is none.
pub fn text<'n>(node: &'n Node, path: &[&str]) -> &'n str {
    at(node, path).and_then(Node::as_text).unwrap_or_default()
}

/// The list below a value; empty where there is none.
pub fn list<'n>(node: &'n Node, path: &[&str]) -> &'n [Node] {
    match at(node, path).map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

impl Document {
    pub fn kind(&self) -> &str {
        text(&self.root, &["kind"])
    }

    /// The group of its `apiVersion`; empty is the core's.
    pub fn group(&self) -> &str {
        let version = text(&self.root, &["apiVersion"]);
        version.split_once('/').map_or("", |(group, _)| group)
    }

    pub fn name(&self) -> &str {
        text(&self.root, &["metadata", "name"])
    }

    /// None where it is that of whoever applies it.
    pub fn namespace(&self) -> Option<&str> {
        at(&self.root, &["metadata", "namespace"]).and_then(Node::as_text)
    }

    /// Whether two objects can be of one namespace, as far as they say.
    pub fn may_be_beside(&self, other: &Document) -> bool {
        match (self.namespace(), other.namespace()) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }

    pub fn has_label(&self, key: &str, value: &str) -> bool {
        text(&self.root, &["metadata", "labels", key]) == value
    }

    /// `Deployment litellm`.
    pub fn title(&self) -> String {
        format!("{} {}", self.kind(), self.name())
    }

    /// Where it is best shown: its name.
    pub fn place(&self) -> Span {
        let name = at(&self.root, &["metadata", "name"]);
        name.map_or(self.root.span, |name| name.span)
    }

    pub fn problem(&self, span: Span, message: impl Into<String>) -> Problem {
        Problem::new(&self.source, span, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::node::read_stream;

    #[test]
    fn what_an_object_says_of_itself() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a, namespace: n, labels: { app: x } }\n";
        let source = Source::new("t.yaml", text);
        let (mut nodes, _) = read_stream(&source).expect("a stream");
        let document = Document {
            source,
            root: nodes.remove(0),
        };
        assert_eq!((document.title().as_str(), document.group()), ("Deployment a", "apps"));
        assert_eq!(document.namespace(), Some("n"));
        assert!(document.has_label("app", "x") && !document.has_label("app", "y"));
        assert_eq!((document.place().line, document.place().column), (3, 19));
        assert!(list(&document.root, &["spec"]).is_empty());
    }
}
