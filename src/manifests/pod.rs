//! The pods that a Deployment makes: containers, variables and where these come from, volumes.

use super::document::{Document, at, list, text};
use crate::yaml::node::{Kind, Node};
use crate::yaml::{Problem, Span};

/// The pods of a Deployment.
#[derive(Clone)]
pub struct Pod<'d> {
    pub document: &'d Document,
    pub containers: Vec<Container<'d>>,
    pub init: Vec<Container<'d>>,
    pub volumes: &'d [Node],
}

/// A container.
#[derive(Clone, Copy)]
pub struct Container<'d> {
    pub name: &'d str,
    /// The place of its name.
    pub span: Span,
    pub node: &'d Node,
}

/// Where a variable's value comes from.
#[derive(Clone, Copy)]
pub enum Origin<'d> {
    Secret {
        name: &'d str,
        key: &'d str,
        optional: Said,
        span: Span,
    },
    /// It stands in the manifest.
    Plain { value: Option<&'d str>, span: Span },
    /// From a ConfigMap, or a field of the pod.
    Elsewhere(Span),
    /// The container takes all keys of a Secret or a ConfigMap, and this may be one.
    Perhaps {
        /// Which Secret.
        secret: Option<&'d str>,
        /// What is put before each key.
        prefix: &'d str,
        span: Span,
    },
}

impl Origin<'_> {
    pub fn span(self) -> Span {
        match self {
            Origin::Secret { span, .. }
            | Origin::Plain { span, .. }
            | Origin::Elsewhere(span)
            | Origin::Perhaps { span, .. } => span,
        }
    }
}

impl<'d> Pod<'d> {
    pub fn of(document: &'d Document) -> Pod<'d> {
        let containers = |key| {
            let nodes = list(&document.root, &["spec", "template", "spec", key]);
            nodes.iter().map(Container::of).collect()
        };
        Pod {
            document,
            containers: containers("containers"),
            init: containers("initContainers"),
            volumes: list(&document.root, &["spec", "template", "spec", "volumes"]),
        }
    }

    /// All containers, those that run first first.
    pub fn all(&self) -> impl Iterator<Item = Container<'d>> + '_ {
        self.init.iter().chain(&self.containers).copied()
    }

    pub fn volume(&self, name: &str) -> Option<&'d Node> {
        self.volumes.iter().find(|volume| text(volume, &["name"]) == name)
    }

    /// The first container that has a variable, and where its value comes from. One that surely has it goes before
    /// one that may.
    pub fn variable(&self, name: &str) -> Option<(Container<'d>, Origin<'d>)> {
        let mut perhaps = None;
        for container in &self.containers {
            match container.variable(name) {
                Some(origin @ Origin::Perhaps { .. }) => perhaps = perhaps.or(Some((*container, origin))),
                Some(origin) => return Some((*container, origin)),
                None => {}
            }
        }
        perhaps
    }

    /// All containers that have a variable, and where its value comes from.
    pub fn variables(&self, name: &str) -> Vec<(Container<'d>, Origin<'d>)> {
        let containers = self.containers.iter();
        containers
            .filter_map(|container| Some((*container, container.variable(name)?)))
            .collect()
    }

    /// Where what is missing in its containers is best shown.
    pub fn place(&self) -> Span {
        self.containers
            .first()
            .map_or(self.document.place(), |container| container.span)
    }

    pub fn problem(&self, span: Span, message: impl Into<String>) -> Problem {
        self.document.problem(span, message)
    }
}

impl<'d> Container<'d> {
    fn of(node: &'d Node) -> Container<'d> {
        Container {
            name: text(node, &["name"]),
            span: node.get("name").map_or(node.span, |name| name.span),
            node,
        }
    }

    /// Where a variable's value comes from; none if the container has no such variable. Of several of one name the
    /// last one counts.
    pub fn variable(&self, name: &str) -> Option<Origin<'d>> {
        let entry = list(self.node, &["env"])
            .iter()
            .rfind(|entry| text(entry, &["name"]) == name);
        match entry {
            Some(entry) => Some(origin(entry)),
            None => self.of_all_keys(name),
        }
    }

    /// All variables that come from a Secret, each with where from.
    pub fn secret_variables(&self) -> impl Iterator<Item = Origin<'d>> + use<'d> {
        let entries = list(self.node, &["env"]).iter().map(origin);
        entries.filter(|origin| matches!(origin, Origin::Secret { .. }))
    }

    /// The mounts of a volume.
    pub fn mounts(&self) -> &'d [Node] {
        list(self.node, &["volumeMounts"])
    }

    /// Of several sources the last one counts.
    fn of_all_keys(&self, name: &str) -> Option<Origin<'d>> {
        let takes = |source: &&Node| name.starts_with(text(source, &["prefix"]));
        let source = list(self.node, &["envFrom"]).iter().rfind(takes)?;
        Some(Origin::Perhaps {
            secret: at(source, &["secretRef", "name"]).and_then(Node::as_text),
            prefix: text(source, &["prefix"]),
            span: source.span,
        })
    }
}

fn origin(entry: &Node) -> Origin<'_> {
    let span = entry.get("name").map_or(entry.span, |name| name.span);
    if let Some(reference) = at(entry, &["valueFrom", "secretKeyRef"]) {
        return Origin::Secret {
            name: text(reference, &["name"]),
            key: text(reference, &["key"]),
            optional: Said::of(reference.get("optional")),
            span,
        };
    }
    if entry.get("valueFrom").is_some() {
        return Origin::Elsewhere(span);
    }
    let value = entry.get("value");
    Origin::Plain {
        value: value.and_then(Node::as_text),
        span: value.map_or(span, |value| value.span),
    }
}

/// Whether something is said to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    No,
    Yes,
    /// It is no boolean, as a text in quotes is none: the API server refuses the object.
    Neither,
}

impl Said {
    /// What a field says; one that isn't there says no.
    pub fn of(node: Option<&Node>) -> Said {
        match node.map(|node| &node.kind) {
            None | Some(Kind::Null | Kind::Bool(false)) => Said::No,
            Some(Kind::Bool(true)) => Said::Yes,
            Some(_) => Said::Neither,
        }
    }
}

/// What is wrong with a field that says neither.
pub fn no_boolean(field: &str) -> String {
    format!("{field} is neither true nor false: the API server accepts nothing else, and neither in quotes")
}

#[cfg(test)]
mod tests {
    use super::super::read_texts;
    use super::*;

    #[test]
    fn the_last_source_of_all_keys_counts() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: c,\n\
                    envFrom: [{secretRef: {name: first}}, {secretRef: {name: last}}, {prefix: X_, secretRef: {name: other}}]}]}}}\n";
        let manifests = read_texts(vec![("t.yaml".into(), text.into())]).expect("manifests");
        let pod = Pod::of(&manifests.documents[0]);
        let origin = pod.variable("A").map(|(_, origin)| origin);
        assert!(matches!(
            origin,
            Some(Origin::Perhaps {
                secret: Some("last"),
                ..
            })
        ));
    }

    #[test]
    fn where_variables_come_from() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: c,\n\
                    envFrom: [{prefix: X_, secretRef: {name: all}}], env: [{name: A, value: '1'}, {name: A, value: '2'},\n\
                    {name: B, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}},\n\
                    {name: C, valueFrom: {fieldRef: {fieldPath: x}}}, {name: D}]}]}}}\n";
        let manifests = read_texts(vec![("t.yaml".into(), text.into())]).expect("manifests");
        let pod = Pod::of(&manifests.documents[0]);
        let of = |name| pod.variable(name).map(|(_, origin)| origin);
        assert!(matches!(of("A"), Some(Origin::Plain { value: Some("2"), .. })));
        assert!(matches!(
            of("B"),
            Some(Origin::Secret {
                name: "s",
                key: "k",
                optional: Said::Yes,
                ..
            })
        ));
        assert!(matches!(of("C"), Some(Origin::Elsewhere(_))));
        assert!(matches!(of("D"), Some(Origin::Plain { value: None, .. })));
        assert!(matches!(of("X_Y"), Some(Origin::Perhaps { prefix: "X_", .. })));
        assert!(of("E").is_none());
        assert_eq!(pod.variables("A").len(), 1);
        assert!(pod.variables("E").is_empty());
        assert_eq!(pod.containers[0].secret_variables().count(), 1);
    }
}
