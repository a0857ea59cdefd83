//! SecurityPolicies of Envoy Gateway: what each is attached to, and which of them guards a door.

use super::route::{Door, GATEWAY_API};
use crate::manifests::document::{Document, at, list, of_kind, text};
use crate::vocabulary::similar::suggestion;
use crate::yaml::node::Node;
use crate::yaml::{Problem, Span};

/// The group of Envoy Gateway.
pub const ENVOY_GATEWAY: &str = "gateway.envoyproxy.io";

/// The kinds that a policy can be attached to.
const KINDS: [&str; 6] = ["Gateway", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"];

/// A policy of Envoy Gateway.
pub struct Policy<'d> {
    pub document: &'d Document,
    pub targets: Vec<Target<'d>>,
    /// Which labels choose what it is attached to.
    pub selectors: &'d [Node],
}

/// What a policy names.
#[derive(Clone, Copy)]
pub struct Target<'d> {
    pub kind: &'d str,
    pub name: &'d str,
    /// A rule of a route, a listener of a gateway.
    pub section: Option<&'d str>,
    node: &'d Node,
    pub span: Span,
}

/// The policies of a stream, with what they can be attached to.
pub struct Policies<'d> {
    pub all: Vec<Policy<'d>>,
    documents: &'d [Document],
}

/// What stands before a door.
pub enum Guard<'p, 'd> {
    None,
    By(&'p Policy<'d>),
    Unknown(&'static str),
}

/// What is missing of what a policy names.
pub enum Lack {
    Nothing,
    Fault(Box<Problem>),
    Unknown(String),
}

impl<'d> Policy<'d> {
    pub fn of(document: &'d Document) -> Policy<'d> {
        let several = list(&document.root, &["spec", "targetRefs"]).iter();
        let single = at(&document.root, &["spec", "targetRef"]);
        let target = |node: &'d Node| Target {
            kind: text(node, &["kind"]),
            name: text(node, &["name"]),
            section: node.get("sectionName").and_then(Node::as_text),
            node,
            span: node.get("name").map_or(node.span, |name| name.span),
        };
        Policy {
            document,
            targets: several.chain(single).map(target).collect(),
            selectors: list(&document.root, &["spec", "targetSelectors"]),
        }
    }

    /// How it asks somebody.
    pub fn asked(&self) -> Option<&'d Node> {
        at(&self.document.root, &["spec", "extAuth"])
    }

    /// Whether it is about who may.
    pub fn judges(&self) -> bool {
        self.asked().is_some() || at(&self.document.root, &["spec", "jwt"]).is_some()
    }

    /// Whether it goes together with one of the gateway, in whose place it would stand otherwise.
    fn merges(&self) -> bool {
        at(&self.document.root, &["spec", "mergeType"]).is_some()
    }

    /// Whether it names an object, as a whole or a part of it.
    pub fn names(&self, kind: &str, object: &str) -> bool {
        self.targets
            .iter()
            .any(|target| target.kind == kind && target.name == object)
    }

    /// Whether its labels choose an object. None if that can't be told.
    pub fn selects(&self, object: &Document) -> Option<bool> {
        let of_kind = self
            .selectors
            .iter()
            .filter(|selector| text(selector, &["kind"]) == object.kind());
        let mut unknown = false;
        for selector in of_kind {
            if !list(selector, &["matchExpressions"]).is_empty() {
                unknown = true;
                continue;
            }
            let labels = selector.get("matchLabels").and_then(Node::as_map).unwrap_or_default();
            let has = |key: &str, value: &Node| {
                at(&object.root, &["metadata", "labels", key]).and_then(Node::as_text) == value.as_text()
            };
            if labels.iter().all(|(key, value)| has(&key.name, value)) {
                return Some(true);
            }
        }
        (!unknown).then_some(false)
    }
}

impl<'d> Policies<'d> {
    pub fn of(documents: &'d [Document]) -> Policies<'d> {
        Policies {
            all: of_kind(documents, "SecurityPolicy", ENVOY_GATEWAY)
                .map(Policy::of)
                .collect(),
            documents,
        }
    }

    /// What stands before a door: a policy of its rule, or else of its route, or else of its gateways.
    pub fn guard(&self, door: &Door<'_>) -> Guard<'_, 'd> {
        let route = door.route;
        let beside = || {
            let all = self.all.iter();
            all.filter(move |policy| policy.document.may_be_beside(route))
        };
        let of_route = |policy: &&Policy<'_>, section: Option<&str>| {
            let is_route = |target: &Target<'_>| {
                target.kind == "HTTPRoute" && target.name == door.route.name() && target.section == section
            };
            policy.targets.iter().any(is_route)
        };
        let of_rule = door
            .rule
            .and_then(|_| beside().find(|policy| of_route(policy, door.rule)));
        let own = of_rule
            .or_else(|| beside().find(|policy| of_route(policy, None)))
            .or_else(|| beside().find(|policy| policy.selects(door.route) == Some(true)));
        match own {
            Some(policy) if policy.judges() => return Guard::By(policy),
            // It stands in the place of the gateway's.
            Some(policy) if !policy.merges() => return Guard::None,
            _ => {}
        }
        if beside().any(|policy| policy.judges() && policy.selects(door.route).is_none()) {
            return Guard::Unknown("a policy chooses its routes by expressions: whether this is one can't be told");
        }
        self.guard_of_parents(door)
    }

    /// A policy of all gateways of a route.
    fn guard_of_parents(&self, door: &Door<'_>) -> Guard<'_, 'd> {
        let parents = list(&door.route.root, &["spec", "parentRefs"]);
        let guards: Option<Vec<&Policy<'d>>> = parents.iter().map(|parent| self.guard_of_parent(parent)).collect();
        match guards.and_then(|guards| guards.first().copied()) {
            Some(policy) => Guard::By(policy),
            None => Guard::None,
        }
    }

    fn guard_of_parent(&self, parent: &Node) -> Option<&Policy<'d>> {
        let name = text(parent, &["name"]);
        let gateway = self.find("Gateway", name);
        let listener = parent.get("sectionName").and_then(Node::as_text);
        let listeners: &[Node] = match gateway {
            Some(gateway) => list(&gateway.root, &["spec", "listeners"]),
            None => &[],
        };
        let is_all = |section: &str| match listener {
            Some(listener) => listener == section,
            // A route of all listeners, of which there is one.
            None => matches!(listeners, [only] if text(only, &["name"]) == section),
        };
        let of_gateway = |policy: &&Policy<'_>| {
            let is_parent = |target: &Target<'_>| {
                target.kind == "Gateway" && target.name == name && target.section.is_none_or(is_all)
            };
            let is_selected = gateway.is_some_and(|gateway| policy.selects(gateway) == Some(true));
            policy.judges() && (is_selected || policy.targets.iter().any(is_parent))
        };
        self.all.iter().find(of_gateway)
    }

    fn find(&self, kind: &str, name: &str) -> Option<&'d Document> {
        of_kind(self.documents, kind, GATEWAY_API).find(|document| document.name() == name)
    }

    /// What is missing of what a policy names.
    pub fn lacks(&self, policy: &Policy<'_>, target: &Target<'_>) -> Lack {
        let (kind, name, document) = (target.kind, target.name, policy.document);
        let fault = |span: Span, message: String, help: String| {
            Lack::Fault(Box::new(document.problem(span, message).with_help(help)))
        };
        let group = text(target.node, &["group"]);
        if group != GATEWAY_API {
            let message = format!("the policy is attached to nothing: its target's group is `{group}`");
            return fault(target.span, message, format!("`group: {GATEWAY_API}`"));
        }
        let all: Vec<&Document> = of_kind(self.documents, kind, GATEWAY_API).collect();
        // Another chart may have it.
        if KINDS.contains(&kind) && all.is_empty() {
            return Lack::Unknown(format!(
                "no {kind} in these manifests, so it is unknown whether {kind} {name} is there"
            ));
        }
        let Some(found) = all.iter().find(|known| known.name() == name) else {
            let known = all.iter().map(|known| known.name());
            let message = format!("the policy is attached to nothing: there is no {kind} {name} in these manifests");
            let several = match kind {
                "HTTPRoute" => "HTTPRoutes",
                "Gateway" => "Gateways",
                _ => "objects of that kind",
            };
            return fault(target.span, message, suggestion(name, known, several));
        };
        if !all
            .iter()
            .any(|known| known.name() == name && known.may_be_beside(document))
        {
            let message = format!(
                "the policy is attached to nothing: {kind} {name} is in namespace {}, and the policy in {}",
                found.namespace().unwrap_or_default(),
                document.namespace().unwrap_or_default()
            );
            let help = "a policy applies only to its own namespace".to_owned();
            return fault(target.span, message, help);
        }
        match target.section {
            Some(section) => self.lacks_section(found, section, document, target),
            None => Lack::Nothing,
        }
    }

    fn lacks_section(&self, found: &Document, section: &str, policy: &Document, target: &Target<'_>) -> Lack {
        let (parts, what) = match target.kind {
            "Gateway" => (list(&found.root, &["spec", "listeners"]), "listener"),
            _ => (list(&found.root, &["spec", "rules"]), "rule"),
        };
        let known = parts
            .iter()
            .map(|part| text(part, &["name"]))
            .filter(|name| !name.is_empty());
        if known.clone().any(|name| name == section) {
            return Lack::Nothing;
        }
        let span = target
            .node
            .get("sectionName")
            .map_or(target.span, |section| section.span);
        let message = format!(
            "the policy is attached to nothing: {} has no {what} called {section}",
            found.title()
        );
        let help = suggestion(section, known, &format!("names of {what}s"));
        Lack::Fault(Box::new(policy.problem(span, message).with_help(help)))
    }
}
