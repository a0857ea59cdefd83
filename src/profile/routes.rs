//! Guarded routes that an installation's agent service has beside the contract's.

use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};

/// The methods that a route can have.
pub(super) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Reads the routes of a profile, whose shape was checked: each path with each of its methods.
pub(super) fn read(root: &Node, checker: &mut Checker) -> Vec<String> {
    let mut routes = Vec::new();
    for (path, methods) in root.get("routes").and_then(Node::as_map).unwrap_or_default() {
        if !is_path(&path.name) {
            checker.report(
                path.span,
                format!(
                    "a route is a path that starts with `/` and has no blanks, `?`, `#` or `$`, not `{}`",
                    path.name
                ),
            );
            continue;
        }
        // What is no list was reported with the shape.
        let Kind::List(methods) = &methods.kind else { continue };
        let methods = methods.iter().filter_map(Node::as_text);
        routes.extend(methods.map(|method| format!("{method} {}", path.name)));
    }
    routes.sort();
    routes
}

/// Those that access control judges by their token: below the agents' path. It answers 403 to all others.
pub fn below(routes: &[String], agents: &str) -> Vec<String> {
    let agents = agents.trim_end_matches('/');
    let is_below = |route: &&String| {
        let path = route.split_once(' ').map_or(route.as_str(), |(_, path)| path);
        let rest = path.strip_prefix(agents);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    routes.iter().filter(is_below).cloned().collect()
}

fn is_path(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_graphic() && !"?#$\"".contains(c);
    text.starts_with('/') && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Profile;
    use crate::yaml::{Problem, Source};

    fn parse(routes: &str) -> Result<Profile, Vec<Problem>> {
        let text = format!("apiVersion: gauntlet/v1\nkind: Profile\n{routes}\n");
        let source: Arc<Source> = Source::new("p.yaml", text);
        Profile::parse(&source)
    }

    #[test]
    fn each_path_has_its_methods() {
        let profile = parse("routes: { /api/agents/usage: [POST, GET], /api/agents/a: [DELETE] }").expect("good");
        assert_eq!(
            profile.routes,
            [
                "DELETE /api/agents/a",
                "GET /api/agents/usage",
                "POST /api/agents/usage"
            ]
        );
        assert_ne!(profile.digest(), Profile::default().digest());
    }

    #[test]
    fn routes_that_access_control_judges() {
        let routes = [
            "GET /api/agents",
            "POST /api/agents/usage",
            "GET /api/agentsX",
            "GET /api/usage",
        ]
        .map(String::from);
        assert_eq!(
            super::below(&routes, "/api/agents"),
            ["GET /api/agents", "POST /api/agents/usage"]
        );
        assert!(super::below(&routes, "/v2/agents").is_empty());
    }

    #[test]
    fn what_is_no_route_is_told() {
        for (wrong, said) in [
            ("routes: { usage: [GET] }", "a route is a path that starts with `/`"),
            ("routes: { \"/a?b\": [GET] }", "a route is a path that starts with `/`"),
            ("routes: { /a: [FETCH] }", "not `FETCH`"),
            ("routes: { /a: [] }", "`/a` must"),
        ] {
            let problems = parse(wrong).expect_err("wrong");
            let text: String = problems.iter().map(ToString::to_string).collect();
            assert!(text.contains(said), "{wrong}: {text}");
        }
    }
}
