//! One Kubernetes object as its manifest has it, every value with its place.

use std::sync::Arc;

use crate::world::deploy::labels;
use crate::yaml::node::{Kind, Node};
use crate::yaml::{Problem, Source, Span};

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

/// The text below a value; empty if there is none.
pub fn text<'n>(node: &'n Node, path: &[&str]) -> &'n str {
    at(node, path).and_then(Node::as_text).unwrap_or_default()
}

/// The list below a value; empty if there is none.
pub fn list<'n>(node: &'n Node, path: &[&str]) -> &'n [Node] {
    match at(node, path).map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}

/// The objects of a kind that a group has.
pub fn of_kind<'d>(documents: &'d [Document], kind: &str, group: &str) -> impl Iterator<Item = &'d Document> {
    let is_it = move |document: &&Document| document.kind() == kind && document.group() == group;
    documents.iter().filter(is_it)
}

/// The Deployments of a name, or else those whose pods a selector chooses.
pub fn deployments<'d>(documents: &'d [Document], name: &str, selector: &str) -> Vec<&'d Document> {
    let all = || documents.iter().filter(|document| document.kind() == "Deployment");
    let named: Vec<&Document> = all()
        .filter(|document| !name.is_empty() && document.name() == name)
        .collect();
    let Some(labels) = labels(selector).filter(|_| named.is_empty()) else {
        return named;
    };
    let has = |document: &Document, key: &str, value: &str| {
        text(&document.root, &["spec", "template", "metadata", "labels", key]) == value
    };
    all()
        .filter(|document| labels.iter().all(|(key, value)| has(document, key, value)))
        .collect()
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

    /// None if it is that of whoever applies it.
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
    use crate::yaml::node::read_stream;

    #[test]
    fn what_an_object_says_of_itself() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: a, namespace: n }\n";
        let source = Source::new("t.yaml", text);
        let (mut nodes, _) = read_stream(&source).expect("a stream");
        let document = Document {
            source,
            root: nodes.remove(0),
        };
        assert_eq!((document.title().as_str(), document.group()), ("Deployment a", "apps"));
        assert_eq!(document.namespace(), Some("n"));
        assert_eq!((document.place().line, document.place().column), (3, 19));
        assert!(list(&document.root, &["spec"]).is_empty());
    }

    #[test]
    fn deployments_by_name_or_by_their_pods_labels() {
        let text =
            "kind: Deployment\nmetadata: { name: a }\nspec: { template: { metadata: { labels: { app: x } } } }\n";
        let text = format!("{text}---\n{}", text.replace("name: a", "name: b"));
        let source = Source::new("t.yaml", text);
        let (nodes, _) = read_stream(&source).expect("a stream");
        let document = |root| Document {
            source: source.clone(),
            root,
        };
        let documents: Vec<Document> = nodes.into_iter().map(document).collect();
        let names = |name, selector| -> Vec<&str> {
            let found = deployments(&documents, name, selector);
            found.into_iter().map(Document::name).collect()
        };
        assert_eq!(names("b", "app=x"), ["b"]);
        assert_eq!(names("c", "app=x"), ["a", "b"]);
        assert!(names("c", "app=y").is_empty());
    }
}
