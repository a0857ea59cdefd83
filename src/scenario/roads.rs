//! Checks that a scenario's world has the roads that its steps use.
//!
//! On a road that isn't there nobody answers: a refusal that is expected holds, and an answer that is
//! expected is missed. Neither says anything of the platform.

use super::constant;
use super::step::Read;
use crate::steps::Reach;
use crate::template::canonical;
use crate::template::expression;
use crate::vocabulary::Contract;
use crate::vocabulary::Road;
use crate::yaml::Span;
use crate::yaml::checker::Checker;
use crate::yaml::node::{Kind, Node};

/// Reports each road that the world lacks, once, where it is first said.
pub(super) fn check<'r>(root: &Node, steps: impl Iterator<Item = &'r Read<'r>>, checker: &mut Checker) {
    let mut told: Vec<Road> = Vec::new();
    for read in steps {
        for (road, span) in taken(root, read) {
            if told.contains(&road) {
                continue;
            }
            if let Some((message, help)) = lacking(road, root) {
                checker.report_with_help(span, message, help);
                told.push(road);
            }
        }
    }
}

/// The roads that a step goes by, each with where the file says it. None if that is only known when
/// it runs.
fn taken(root: &Node, read: &Read<'_>) -> Vec<(Road, Span)> {
    let Some(said) = read.node.get(read.verb.road) else {
        return implied(root, read).into_iter().collect();
    };
    let Some(text) = said.as_text() else {
        return Vec::new();
    };
    let values = match variable(text) {
        Some(path) => values(root, path),
        None => vec![said],
    };
    let named = |node: &Node| Some((Road::named(node.as_text()?)?, node.span));
    let mut roads: Vec<(Road, Span)> = values.iter().filter_map(|node| named(node)).collect();
    // Put together of several, or a variable that is made of others.
    if expression::is_template(text) && (roads.is_empty() || roads.len() < values.len()) {
        let filled = constant::texts(root, text);
        roads.extend(filled.iter().filter_map(|text| Some((Road::named(text)?, said.span))));
    }
    roads
}

/// The road of a step that says none.
fn implied(root: &Node, read: &Read<'_>) -> Option<(Road, Span)> {
    let (_, contract) = contract_of(root)?;
    // A step that is about a pod goes by `direct`; which it is is known only when it runs.
    let by_proxy = matches!(
        (contract, read.verb.reach),
        (Contract::AgentService, Reach::Door { .. })
            | (Contract::CodexAuth, Reach::Api | Reach::Door { .. })
            | (Contract::HarnessToken, Reach::Api | Reach::Door { subject: None })
    );
    let verb = read.node.get(read.verb.name).filter(|_| by_proxy)?;
    Some((Road::Proxy, verb.span))
}

/// What stands in a template that is one variable: `road` of `${road}`, `case.road` of `${case.road}`.
fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.chars().all(plain).then_some(name)
}

/// The values that the file gives a variable of `matrix` or `vars`.
fn values<'n>(root: &'n Node, path: &str) -> Vec<&'n Node> {
    let mut parts = path.split('.');
    let name = canonical(parts.next().unwrap_or_default());
    let fields: Vec<&str> = parts.collect();
    let entry = |section: &str| {
        let entries = root.get(section)?.as_map()?;
        let found = entries.iter().find(|(key, _)| canonical(&key.name) == name);
        found.map(|(_, value)| value)
    };
    let choices: Vec<&Node> = match (entry("matrix"), entry("vars")) {
        (Some(choices), _) => match &choices.kind {
            Kind::List(items) => items.iter().collect(),
            Kind::Map(named) => named.iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        },
        (None, value) => value.into_iter().collect(),
    };
    let inner = |choice: &'n Node| fields.iter().try_fold(choice, |node, field| node.get(field));
    choices.into_iter().filter_map(inner).collect()
}

/// The contract that the id says, with its name there.
fn contract_of(root: &Node) -> Option<(&str, Contract)> {
    let name = root.get("id")?.as_text()?.split('/').next()?;
    Some((name, Contract::named(name)))
}

/// What the world lacks for a road, and what to say in the file for it to have it.
fn lacking(road: Road, root: &Node) -> Option<(String, String)> {
    let name = road.name();
    if let Some((group, contract)) = contract_of(root)
        && !contract.roads().contains(&road)
    {
        let known: Vec<&str> = contract.roads().iter().map(|road| road.name()).collect();
        let message = format!("a world of `{group}` has no road `{name}`");
        let mut all = Contract::ALL.into_iter();
        let other = all
            .find(|contract| contract.roads().contains(&road))
            .map_or("", Contract::name);
        let known = known.join(", ");
        return Some((message, format!("it has {known}; `{name}` is for ids of `{other}/`")));
    }
    let world = root.get("world");
    let of_world = |key: &str| world.and_then(|world| world.get(key)).map(|node| &node.kind);
    if matches!(of_world("platform"), Some(Kind::Bool(false))) {
        let message = format!("the road `{name}` leads to the platform, and the scenario's world has none");
        return Some((message, "take `platform: false` out of `world`".to_owned()));
    }
    let balancer = world
        .and_then(|world| world.get("balancer"))
        .filter(|node| node.kind != Kind::Null);
    let add = |what: &str| match world {
        Some(_) => format!("add `{what}` to `world`"),
        None => format!("add `world: {{ {what} }}`"),
    };
    let message = |what: &str| format!("the road `{name}` leads through {what}");
    match road {
        Road::Balancer if balancer.is_none() => {
            let message = message("a balancer, and the scenario's world has none");
            Some((message, add("balancer: {}")))
        }
        Road::BalancerTls => {
            let message = message("a balancer that ends TLS, and the scenario's world has none");
            match balancer {
                None => Some((message, add("balancer: { tls: true }"))),
                Some(balancer) => match balancer.get("tls").map(|node| &node.kind) {
                    None | Some(Kind::Bool(false)) => Some((message, "say `tls: true` in `world.balancer`".to_owned())),
                    Some(_) => None,
                },
            }
        }
        Road::Proxy if of_world("web-replicas").is_some_and(is_zero) => {
            let message = message("web, of which the scenario's world has no replica");
            Some((message, "say `web-replicas: 1` in `world`".to_owned()))
        }
        Road::AccessControl if matches!(of_world("authorizer"), Some(Kind::Text(state)) if state == "gone") => {
            let message = format!("the road `{name}` leads to access control, and the scenario's world has none");
            Some((message, "take `authorizer: gone` out of `world`".to_owned()))
        }
        _ => None,
    }
}

fn is_zero(kind: &Kind) -> bool {
    matches!(kind, Kind::Number(number) if number.as_u64() == Some(0))
}

#[cfg(test)]
mod tests {
    use crate::scenario::parse::parse_with_id;
    use crate::yaml::{Problems, Source};

    /// What is wrong with a scenario that has this in it, and a road of it.
    fn told(id: &str, head: &str, step: &str) -> String {
        let text = format!(
            "apiVersion: gauntlet/v1\nid: {id}\ntitle: A title\nspec: A source\nlevel: core\nintrusion: attack\n\
             {head}\nsteps:\n  - {step}\n"
        );
        match parse_with_id(&Source::new(format!("{id}.yaml"), text)) {
            Ok(_) => String::new(),
            Err(problems) => Problems(problems).render_plain(),
        }
    }

    const TOKEN: &str = "harness-token/a/b";
    const AGENTS: &str = "agent-service/a/b";

    #[test]
    fn what_the_world_has() {
        let http = |road: &str| format!("{{ http: GET /, road: {road}, check: answers 200 }}");
        for (id, head, road) in [
            (TOKEN, "", "direct"),
            (TOKEN, "", "proxy"),
            (TOKEN, "world: { balancer: {} }", "balancer"),
            (TOKEN, "world: { balancer: { tls: true } }", "balancer-tls"),
            (TOKEN, "world: { balancer: { tls: true } }", "balancer"),
            (
                TOKEN,
                "world: { balancer: {} }\nmatrix: { road: [proxy, balancer] }",
                "\"${road}\"",
            ),
            (TOKEN, "world: { balancer: {} }\nvars: { r: balanc }", "\"${r}er\""),
            // What they are is known only when it runs.
            (TOKEN, "vars: { r: \"${token()}\" }", "\"balancer${r[:0]}\""),
            (TOKEN, "", "\"balanc${master-key[:0]}er\""),
            // These never come together.
            (
                TOKEN,
                "matrix: { case: { one: { a: ba, b: x }, two: { a: z, b: lancer } } }",
                "\"${case.a}${case.b}\"",
            ),
            (AGENTS, "world: { authorizer: gone }", "nginx"),
            (AGENTS, "matrix: { road: [builtin, envoy, service] }", "\"${road}\""),
        ] {
            assert_eq!(told(id, head, &http(road)), "", "{head} {road}");
        }
    }

    #[test]
    fn what_the_world_lacks() {
        let http = |road: &str| format!("{{ http: GET /, road: {road}, check: answers 200 }}");
        for (id, head, road, said) in [
            (TOKEN, "", "balancer", "add `world: { balancer: {} }`"),
            (
                TOKEN,
                "world: { warm-pool: 1 }",
                "balancer",
                "add `balancer: {}` to `world`",
            ),
            (TOKEN, "", "balancer-tls", "add `world: { balancer: { tls: true } }`"),
            (
                TOKEN,
                "world: { balancer: {} }",
                "balancer-tls",
                "say `tls: true` in `world.balancer`",
            ),
            (
                TOKEN,
                "world: { web-replicas: 0 }",
                "proxy",
                "say `web-replicas: 1` in `world`",
            ),
            (
                TOKEN,
                "vars: { r: balanc }",
                "\"${r}er\"",
                "add `world: { balancer: {} }`",
            ),
            (
                TOKEN,
                "vars: { r: balanc, way: \"${r}er\" }",
                "\"${way}\"",
                "add `world: { balancer: {} }`",
            ),
            (
                TOKEN,
                "matrix: { part: { plain: \"\", tls: -tls } }\nworld: { balancer: {} }",
                "\"balancer${part}\"",
                "say `tls: true` in `world.balancer`",
            ),
            (
                TOKEN,
                "matrix: { n: [1, 2] }",
                "\"${'proxy' if n == 1 else 'balancer'}\"",
                "add `world: { balancer: {} }`",
            ),
            (
                TOKEN,
                "world: { platform: false }",
                "proxy",
                "take `platform: false` out of `world`",
            ),
            (
                TOKEN,
                "world: { platform: false, balancer: {} }",
                "balancer",
                "the road `balancer` leads to the platform, and the scenario's world has none",
            ),
            (TOKEN, "", "builtin", "it has direct, proxy, balancer, balancer-tls"),
            (TOKEN, "", "nginx", "a world of `harness-token` has no road `nginx`"),
            ("mine/a/b", "", "envoy", "a world of `mine` has no road `envoy`"),
            (AGENTS, "", "proxy", "a world of `agent-service` has no road `proxy`"),
            (
                AGENTS,
                "world: { authorizer: gone }",
                "access-control",
                "take `authorizer: gone` out of `world`",
            ),
            (
                TOKEN,
                "matrix: { road: [proxy, balancer] }",
                "\"${road}\"",
                "add `world: { balancer: {} }`",
            ),
            (
                TOKEN,
                "matrix: { case: { one: { road: proxy }, two: { road: balancer } } }",
                "\"${case.road}\"",
                "add `world: { balancer: {} }`",
            ),
            (
                TOKEN,
                "vars: { way: balancer }",
                "\"${way}\"",
                "add `world: { balancer: {} }`",
            ),
        ] {
            let told = told(id, head, &http(road));
            assert!(told.contains(said), "{head} {road}: {told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }

    #[test]
    fn a_gateway_and_a_road_left_out() {
        let step = "{ gateway: nginx, check: accepted }";
        assert_eq!(told(AGENTS, "", step), "");
        assert!(told(TOKEN, "", step).contains("a world of `harness-token` has no road `nginx`"));
        let step = "{ http: GET /, check: answers 200 }";
        assert_eq!(told(TOKEN, "", step), "");
        for step in [step, "{ session: new }"] {
            let told = told(TOKEN, "world: { platform: false }", step);
            assert!(told.contains("take `platform: false` out of `world`"), "{step}: {told}");
        }
        assert_eq!(
            told(TOKEN, "world: { platform: false }", "{ seed-token: pipeline }"),
            ""
        );
        assert!(told(AGENTS, "", step).contains("a world of `agent-service` has no road `proxy`"));
    }
}
