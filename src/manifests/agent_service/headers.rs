//! Whose headers arrive at the service: the authorizer's, and none of the client's.

use regex::Regex;

use super::policy::{ENVOY_GATEWAY, Policy, Target};
use super::route::{Door, GATEWAY_API};
use crate::manifests::document::{Document, at, list, of_kind, text};
use crate::manifests::finding::{Finding, Rule};
use crate::yaml::node::Node;

/// "Both … strip `x-user-*` from the client before the authorization, and add those of the authorizer."
pub const TRUSTED: Rule = Rule {
    id: "agent-service/headers/trusted",
    holds: "the service gets x-user-id, x-user-name and x-user-email from access control, never from the client",
};

/// "answers 200 with `x-user-id`, `x-user-name`, `x-user-email`."
const HEADERS: [&str; 3] = ["x-user-id", "x-user-name", "x-user-email"];

/// What stands for all of `x-user-*`: the authorizer's, one that a service may come to look at, and one that nobody names.
const PROBES: [&str; 5] = [
    "x-user-id",
    "x-user-name",
    "x-user-email",
    "x-user-role",
    "x-user-other-9",
];

/// Whether a policy passes on what access control says of the user.
pub fn passed_on(policy: &Policy<'_>) -> Vec<Finding> {
    let document = policy.document;
    // Another kind of asking has no such list.
    let Some(http) = policy.asked().and_then(|asked| asked.get("http")) else {
        return Vec::new();
    };
    let passed = list(http, &["headersToBackend"]);
    let is_passed = |header: &str| {
        let mut names = passed.iter().filter_map(Node::as_text);
        names.any(|name| name.eq_ignore_ascii_case(header))
    };
    let missing: Vec<&str> = HEADERS.into_iter().filter(|header| !is_passed(header)).collect();
    if missing.is_empty() {
        return vec![TRUSTED.pass(document)];
    }
    let span = http.get("headersToBackend").map_or(http.span, |headers| headers.span);
    let message = format!("{} of access control would not reach the service", missing.join(", "));
    let help = format!("`headersToBackend: [{}]`", HEADERS.join(", "));
    vec![TRUSTED.fail(document, document.problem(span, message).with_help(help))]
}

/// Whether each gateway takes out what a client says of itself.
pub fn stripped(doors: &[Door<'_>], documents: &[Document]) -> Vec<Finding> {
    let mut seen: Vec<[&str; 2]> = Vec::new();
    let mut findings = Vec::new();
    for door in doors {
        for parent in list(&door.route.root, &["spec", "parentRefs"]) {
            let gateway = [text(parent, &["name"]), text(parent, &["sectionName"])];
            if !seen.contains(&gateway) {
                seen.push(gateway);
                findings.push(of_parent(door, parent, documents));
            }
        }
    }
    findings
}

/// Of a gateway, or of the listener that a route names.
fn of_parent(door: &Door<'_>, parent: &Node, documents: &[Document]) -> Finding {
    let name = text(parent, &["name"]);
    let gateway = of_kind(documents, "Gateway", GATEWAY_API).find(|document| document.name() == name);
    let policies: Vec<Policy<'_>> = of_kind(documents, "ClientTrafficPolicy", ENVOY_GATEWAY)
        .map(Policy::of)
        .filter(|policy| {
            let selects = gateway.is_some_and(|gateway| policy.selects(gateway) != Some(false));
            policy.names("Gateway", name) || selects
        })
        .collect();
    let listeners = listeners(parent, gateway);
    let kept: Vec<&str> = PROBES
        .into_iter()
        .filter(|header| {
            let removed = |listener: &Option<&str>| {
                let of_listener = of_listener(&policies, name, *listener);
                of_listener.iter().any(|policy| removes(policy.document, header))
            };
            !listeners.iter().all(removed)
        })
        .collect();
    let patched = documents.iter().any(|document| document.kind() == "EnvoyPatchPolicy");
    let first = policies.first().map(|policy| policy.document);
    match (gateway, first) {
        (Some(gateway), _) if kept.is_empty() => TRUSTED.pass(gateway),
        (None, Some(policy)) if kept.is_empty() => TRUSTED.pass(policy),
        (None, _) => {
            let why =
                format!("no Gateway {name} in these manifests: whether it removes a client's x-user-* is unknown");
            TRUSTED.skip(door.route, door.route.problem(parent.span, why))
        }
        (Some(gateway), _) if patched => {
            let why = "there is an EnvoyPatchPolicy: whether it removes a client's x-user-* is unknown";
            TRUSTED.skip(gateway, gateway.problem(gateway.place(), why))
        }
        (Some(gateway), first) => {
            let known: Vec<&str> = HEADERS.into_iter().filter(|header| kept.contains(header)).collect();
            let message = match known.as_slice() {
                [] => "only some of a client's x-user-* headers are removed: any other one would reach the service"
                    .to_owned(),
                known => format!(
                    "a client's {} would reach the service where access control sends none",
                    known.join(", ")
                ),
            };
            let help = format!(
                "a ClientTrafficPolicy of Gateway {name} with `headers: {{ earlyRequestHeaders: {{ removeOnMatch: \
                 [{{ type: Prefix, value: x-user- }}] }} }}`"
            );
            let document = first.unwrap_or(gateway);
            TRUSTED.fail(document, document.problem(document.place(), message).with_help(help))
        }
    }
}

/// The listeners that a route's parent stands for; none is a gateway as a whole.
fn listeners<'d>(parent: &'d Node, gateway: Option<&'d Document>) -> Vec<Option<&'d str>> {
    if let Some(section) = parent.get("sectionName").and_then(Node::as_text) {
        return vec![Some(section)];
    }
    let all = gateway.map_or(&[][..], |gateway| list(&gateway.root, &["spec", "listeners"]));
    let takes_routes = |listener: &&Node| matches!(text(listener, &["protocol"]), "HTTP" | "HTTPS" | "");
    let names = all
        .iter()
        .filter(takes_routes)
        .map(|listener| text(listener, &["name"]));
    let names: Vec<Option<&str>> = names.map(Some).collect();
    match names.is_empty() {
        true => vec![None],
        false => names,
    }
}

/// The policies that count at a listener: its own stand in the place of the gateway's.
fn of_listener<'p, 'd>(policies: &'p [Policy<'d>], gateway: &str, listener: Option<&str>) -> Vec<&'p Policy<'d>> {
    let section_of = |policy: &&Policy<'_>, wanted: Option<&str>| {
        let is_it =
            |target: &Target<'_>| target.kind == "Gateway" && target.name == gateway && target.section == wanted;
        policy.targets.iter().any(is_it)
    };
    let own: Vec<&Policy<'d>> = match listener {
        Some(_) => policies.iter().filter(|policy| section_of(policy, listener)).collect(),
        None => Vec::new(),
    };
    if !own.is_empty() {
        return own;
    }
    // One without targets was chosen by its labels.
    let of_all = |policy: &&Policy<'_>| section_of(policy, None) || !policy.names("Gateway", gateway);
    policies.iter().filter(of_all).collect()
}

/// Whether a header is taken out before anybody is asked.
fn removes(policy: &Document, header: &str) -> bool {
    let Some(early) = at(&policy.root, &["spec", "headers", "earlyRequestHeaders"]) else {
        return false;
    };
    let mut removed = list(early, &["remove"]).iter().filter_map(Node::as_text);
    let is_match = |matched: &Node| {
        let value = text(matched, &["value"]).to_ascii_lowercase();
        match text(matched, &["type"]) {
            "Prefix" => header.starts_with(&value),
            "Suffix" => header.ends_with(&value),
            "RegularExpression" => Regex::new(&format!("^(?:{value})$")).is_ok_and(|pattern| pattern.is_match(header)),
            _ => header == value,
        }
    };
    removed.any(|name| name.eq_ignore_ascii_case(header)) || list(early, &["removeOnMatch"]).iter().any(is_match)
}
