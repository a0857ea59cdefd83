//! Routes of a path: which rules of which HTTPRoutes a request for it goes through.

use regex::Regex;

use crate::manifests::document::{Document, list, of_kind, text};
use crate::yaml::Span;
use crate::yaml::node::Node;

/// The group of the Gateway API.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// A rule of an HTTPRoute by which requests for a path go through.
#[derive(Clone, Copy)]
pub struct Door<'d> {
    pub route: &'d Document,
    /// The rule's name, which a policy's `sectionName` can be.
    pub rule: Option<&'d str>,
    /// Where what it matches stands.
    pub span: Span,
}

/// How a match is about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// It is for the path, or for what is below it.
    Below,
    /// It is for the path and all that is below it.
    All,
    /// It is for more than the path, which goes through it unless another route is for it.
    Beyond,
    Elsewhere,
}

/// The doors of a path. Rules for more than it count where none is for all of it, and they lead to one of the services.
pub fn doors<'d>(documents: &'d [Document], path: &str, services: &[&str]) -> Vec<Door<'d>> {
    let routes = of_kind(documents, "HTTPRoute", GATEWAY_API);
    let rules = routes.flat_map(|route| {
        list(&route.root, &["spec", "rules"])
            .iter()
            .map(move |rule| (route, rule))
    });
    let (mut of_path, mut beyond) = (Vec::new(), Vec::new());
    let mut is_whole = false;
    for (route, rule) in rules.filter(|(_, rule)| !redirects(rule)) {
        let (reach, matched) = reach_of(rule, path);
        let span = matched.and_then(|matched| matched.get("path")?.get("value"));
        let door = Door {
            route,
            rule: rule.get("name").and_then(Node::as_text),
            span: span.map_or(route.place(), |value| value.span),
        };
        let leads_there = || {
            let backends = list(rule, &["backendRefs"]);
            backends
                .iter()
                .any(|backend| services.contains(&text(backend, &["name"])))
        };
        match reach {
            Reach::All => {
                is_whole = true;
                of_path.push(door);
            }
            Reach::Below => of_path.push(door),
            Reach::Beyond if leads_there() => beyond.push(door),
            Reach::Beyond | Reach::Elsewhere => {}
        }
    }
    if !is_whole {
        of_path.extend(beyond);
    }
    of_path
}

/// Whether a rule only sends clients elsewhere, as from http to https: nothing goes through it.
fn redirects(rule: &Node) -> bool {
    let mut filters = list(rule, &["filters"]).iter();
    list(rule, &["backendRefs"]).is_empty() && filters.any(|filter| text(filter, &["type"]) == "RequestRedirect")
}

/// The match of a rule that is nearest to a path.
fn reach_of<'d>(rule: &'d Node, path: &str) -> (Reach, Option<&'d Node>) {
    let matches = list(rule, &["matches"]);
    if matches.is_empty() {
        return (Reach::Beyond, None);
    }
    let mut nearest = (Reach::Elsewhere, None);
    for matched in matches {
        let reach = reach(matched, path);
        let is_nearer = match (nearest.0, reach) {
            (_, Reach::Elsewhere) => false,
            (Reach::Elsewhere, _) => true,
            (Reach::Beyond, Reach::All | Reach::Below) | (Reach::Below, Reach::All) => true,
            _ => false,
        };
        if is_nearer {
            nearest = (reach, Some(matched));
        }
    }
    nearest
}

fn reach(matched: &Node, path: &str) -> Reach {
    let path = path.trim_end_matches('/');
    let value = text(matched, &["path", "value"]);
    let below = |of: &str, what: &str| what.strip_prefix(of).is_some_and(|rest| rest.starts_with('/'));
    match text(matched, &["path", "type"]) {
        "Exact" if value == path || below(path, value) => Reach::Below,
        "Exact" => Reach::Elsewhere,
        "RegularExpression" => match Regex::new(&format!("^(?:{value})$")) {
            Ok(pattern) => {
                let is_match = |tail: &str| pattern.is_match(&format!("{path}{tail}"));
                match () {
                    () if pattern.is_match("/") => Reach::Beyond,
                    () if ["", "/", "/x", "/x/react"].into_iter().any(is_match) => Reach::Below,
                    () => Reach::Elsewhere,
                }
            }
            // A pattern of another dialect, or none.
            Err(_) => Reach::Elsewhere,
        },
        // The type where none is said, and its value.
        _ => {
            let prefix = value.trim_end_matches('/');
            match () {
                () if prefix == path => Reach::All,
                () if below(path, prefix) => Reach::Below,
                () if prefix.is_empty() || below(prefix, path) => Reach::Beyond,
                () => Reach::Elsewhere,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Source;
    use crate::yaml::node::read_stream;

    #[test]
    fn how_matches_are_about_a_path() {
        let of = |kind: &str, value: &str| {
            let text = format!("path: {{ type: {kind}, value: '{value}' }}\n");
            let (nodes, _) = read_stream(&Source::new("t.yaml", text)).expect("YAML");
            reach(&nodes[0], "/api/agents")
        };
        for (kind, value, want) in [
            ("PathPrefix", "/api/agents", Reach::All),
            ("PathPrefix", "/api/agents/", Reach::All),
            ("PathPrefix", "/api/agents/x", Reach::Below),
            ("PathPrefix", "/api", Reach::Beyond),
            ("PathPrefix", "/", Reach::Beyond),
            ("PathPrefix", "/api/agentsX", Reach::Elsewhere),
            ("PathPrefix", "/ap", Reach::Elsewhere),
            ("Exact", "/api/agents", Reach::Below),
            ("Exact", "/api", Reach::Elsewhere),
            ("RegularExpression", "/api/agents/[^/]+/react", Reach::Below),
            ("RegularExpression", "/.*", Reach::Beyond),
            ("RegularExpression", "/other", Reach::Elsewhere),
            ("RegularExpression", "(", Reach::Elsewhere),
        ] {
            assert_eq!(of(kind, value), want, "{kind} {value}");
        }
    }
}
