//! Envoy as the gateway: `ext_authz` over HTTP asks access control.

use serde_json::{Value, json};

use super::upstream_slot::{Hops, Route};
use crate::platform::Mutant;
use crate::platform::mutant;

const USER_HEADERS: [&str; 3] = ["x-user-id", "x-user-name", "x-user-email"];

/// How the names of all headers begin that a client must not send: those above, and whatever else a service may trust.
const STRIPPED: &str = "x-user-";

/// What is taken out of each request before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stripped {
    /// All headers whose names begin so.
    Prefix(&'static str),
    /// These alone.
    Names(&'static [&'static str]),
}

impl Stripped {
    /// What a gateway with these mutants takes out.
    pub(super) fn of(has: &dyn Fn(&Mutant) -> bool) -> Stripped {
        match has {
            _ if has(&mutant::ENVOY_OMITTED_KEEPS_CLIENTS) || has(&mutant::ENVOY_USER_HEADERS_APPENDED) => {
                Stripped::Names(&[])
            }
            _ if has(&mutant::ENVOY_USER_ROLE_KEPT) => Stripped::Names(&USER_HEADERS),
            _ => Stripped::Prefix(STRIPPED),
        }
    }

    /// As Envoy's early header mutation is told it.
    fn mutations(self) -> Value {
        match self {
            Stripped::Prefix(prefix) => json!([{ "remove_on_match": { "key_matcher": { "prefix": prefix } } }]),
            Stripped::Names(names) => names.iter().map(|name| json!({ "remove": name })).collect(),
        }
    }
}

const TYPES: &str = "type.googleapis.com/envoy";

/// The bootstrap configuration of an Envoy that has these slots, as JSON.
///
/// What the client says of itself is taken out before anybody is asked (early header mutation: `ext_authz`
/// alone keeps a header that access control doesn't send); names with an underscore are dropped.
pub fn configuration(slots: &[(String, Hops)], route: &Route, mutants: &[&Mutant]) -> String {
    let has = |mutant: &Mutant| mutants.contains(&mutant);
    let numbered = || slots.iter().enumerate();
    let listeners = numbered().map(|(n, (listen, hops))| listener(n, listen, hops, route, &has));
    let listeners: Vec<Value> = listeners.collect();
    let clusters: Vec<Value> = numbered()
        .flat_map(|(n, (_, hops))| {
            let asked = hops.access_control.iter();
            let asked = asked.map(move |address| cluster(&format!("access-control-{n}"), address));
            [cluster(&format!("service-{n}"), &hops.service)]
                .into_iter()
                .chain(asked)
        })
        .collect();
    let configuration = json!({
        "static_resources": { "listeners": listeners, "clusters": clusters },
        // Without it Envoy warns of each start that there is no limit.
        "overload_manager": { "resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": format!("{TYPES}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"),
                "max_active_downstream_connections": 10_000,
            },
        }] },
    });
    format!("{configuration:#}\n")
}

fn listener(number: usize, listen: &str, hops: &Hops, route: &Route, has: &dyn Fn(&Mutant) -> bool) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": format!("{TYPES}.extensions.filters.http.router.v3.Router") },
    });
    let upgrades = match has {
        _ if has(&mutant::ENVOY_UPGRADE_LOST) => json!([]),
        _ if has(&mutant::ENVOY_CONVERSATIONS_UNGUARDED) => {
            json!([{ "upgrade_type": "websocket", "filters": [router] }])
        }
        _ => json!([{ "upgrade_type": "websocket" }]),
    };
    let stripped = match Stripped::of(has) {
        Stripped::Names([]) => json!([]),
        stripped => json!([{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {
                "@type": format!("{TYPES}.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"),
                "mutations": stripped.mutations(),
            },
        }]),
    };
    let buffer = json!({
        "name": "envoy.filters.http.buffer",
        "typed_config": {
            "@type": format!("{TYPES}.extensions.filters.http.buffer.v3.Buffer"),
            "max_request_bytes": 65_536,
        },
    });
    let limit = has(&mutant::ENVOY_BODY_LIMIT).then_some(buffer);
    let asked = hops.access_control.as_ref().map(|_| authorizer(number, route, has));
    let filters: Vec<Value> = limit.into_iter().chain(asked).chain([router]).collect();
    let idle = match has(&mutant::ENVOY_QUIET_CUT) {
        true => "1s",
        false => "300s",
    };
    let logged = match has(&mutant::ENVOY_TOKEN_IN_LOG) {
        true => json!([{
            "name": "envoy.access_loggers.stdout",
            "typed_config": {
                "@type": format!("{TYPES}.extensions.access_loggers.stream.v3.StdoutAccessLog"),
                "log_format": { "text_format_source": {
                    "inline_string": "%REQ(:METHOD)% %REQ(:PATH)% %REQ(AUTHORIZATION)% %RESPONSE_CODE%\n",
                } },
            },
        }]),
        false => json!([]),
    };
    let manager = json!({
        "@type": format!("{TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": format!("slot-{number}"),
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": { "headers_with_underscores_action": "DROP_HEADER" },
        "stream_idle_timeout": idle,
        "upgrade_configs": upgrades,
        "access_log": logged,
        "early_header_mutation_extensions": stripped,
        "route_config": routes(number, hops, route, has),
        "http_filters": filters,
    });
    json!({
        "name": format!("slot-{number}"),
        "address": address(listen),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager,
        }] }],
    })
}

fn routes(number: usize, hops: &Hops, route: &Route, has: &dyn Fn(&Mutant) -> bool) -> Value {
    let service = json!({ "cluster": format!("service-{number}"), "timeout": "30s" });
    let unasked = json!({ "envoy.filters.http.ext_authz": {
        "@type": format!("{TYPES}.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"),
        "disabled": true,
    } });
    let asked = json!({});
    let (agents, health) = match has {
        // There is no filter to be told anything.
        _ if hops.access_control.is_none() => (&asked, &asked),
        _ if has(&mutant::ENVOY_WRONG_ROUTE) => (&unasked, &asked),
        _ if has(&mutant::ENVOY_HEALTH_ASKED) => (&asked, &asked),
        _ => (&asked, &unasked),
    };
    let nobody = if hops.access_control.is_some() {
        &unasked
    } else {
        &asked
    };
    let mut routes = vec![
        json!({ "match": { "path": route.agents }, "route": service, "typed_per_filter_config": agents }),
        json!({ "match": { "path_separated_prefix": route.agents }, "route": service, "typed_per_filter_config": agents }),
        json!({ "match": { "path": route.health }, "route": service, "typed_per_filter_config": health }),
        json!({
            "match": { "prefix": "/" },
            "direct_response": { "status": 404 },
            "typed_per_filter_config": nobody,
        }),
    ];
    if has(&mutant::ENVOY_MODELS_UNGUARDED) {
        let models = format!("{}/models", route.agents);
        let models = json!({ "match": { "path": models }, "route": service, "typed_per_filter_config": nobody });
        routes.insert(0, models);
    }
    let mut hosts = vec![json!({ "name": "all", "domains": ["*"], "routes": routes })];
    if has(&mutant::ENVOY_OTHER_HOST_UNGUARDED) {
        hosts.push(json!({
            "name": "internal",
            "domains": ["localhost", "127.0.0.1"],
            "routes": [{ "match": { "prefix": "/" }, "route": service, "typed_per_filter_config": nobody }],
        }));
    }
    json!({ "virtual_hosts": hosts })
}

fn authorizer(number: usize, route: &Route, has: &dyn Fn(&Mutant) -> bool) -> Value {
    let names = json!({ "patterns": USER_HEADERS.map(|name| json!({ "exact": name })) });
    let told = match has(&mutant::ENVOY_USER_HEADERS_APPENDED) {
        true => json!({ "allowed_upstream_headers_to_append": names }),
        false => json!({ "allowed_upstream_headers": names }),
    };
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": format!("{TYPES}.extensions.filters.http.ext_authz.v3.ExtAuthz"),
            "http_service": {
                "server_uri": {
                    "uri": "http://access-control",
                    "cluster": format!("access-control-{number}"),
                    "timeout": route.authorizer_timeout,
                },
                "path_prefix": route.auth,
                "authorization_response": told,
            },
            "failure_mode_allow": has(&mutant::ENVOY_OPEN_ON_ERROR),
            "status_on_error": { "code": "ServiceUnavailable" },
        },
    })
}

fn cluster(name: &str, address_of: &str) -> Value {
    json!({
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(address_of) } }] }],
        },
        // A connection that is kept could end when somebody else's request is on it already.
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": format!("{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions"),
            "common_http_protocol_options": { "max_requests_per_connection": 1 },
            "explicit_http_config": { "http_protocol_options": {} },
        } },
    })
}

/// From `host:port`.
fn address(text: &str) -> Value {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "0"));
    let port: u16 = port.parse().unwrap_or_default();
    json!({ "socket_address": { "address": host, "port_value": port } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::names;

    /// The connection manager of the one listener.
    fn manager(mutants: &[&Mutant]) -> Value {
        let hops = Hops {
            service: "127.0.0.1:3001".into(),
            access_control: Some("127.0.0.1:9096".into()),
        };
        let route = Route::of(&names::contract());
        let told = configuration(&[("127.0.0.1:8020".into(), hops)], &route, mutants);
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"].clone()
    }

    #[test]
    fn all_headers_of_users_are_taken_out_early() {
        let mutations = |mutants: &[&Mutant]| {
            manager(mutants)["early_header_mutation_extensions"][0]["typed_config"]["mutations"].clone()
        };
        assert_eq!(
            mutations(&[]),
            json!([{ "remove_on_match": { "key_matcher": { "prefix": "x-user-" } } }])
        );
        assert_eq!(
            mutations(&[&mutant::ENVOY_USER_ROLE_KEPT]),
            json!([{ "remove": "x-user-id" }, { "remove": "x-user-name" }, { "remove": "x-user-email" }])
        );
        assert_eq!(mutations(&[&mutant::ENVOY_OMITTED_KEEPS_CLIENTS]), Value::Null);
    }

    #[test]
    fn mutants_leave_a_door_open() {
        let hosts = |mutants: &[&Mutant]| manager(mutants)["route_config"]["virtual_hosts"].clone();
        assert_eq!(hosts(&[]).as_array().map(Vec::len), Some(1));
        assert_eq!(
            hosts(&[&mutant::ENVOY_OTHER_HOST_UNGUARDED])[1]["domains"][0],
            "localhost"
        );
        let models = &hosts(&[&mutant::ENVOY_MODELS_UNGUARDED])[0]["routes"][0];
        assert_eq!(models["match"]["path"], "/api/agents/models");
        let asked = &models["typed_per_filter_config"]["envoy.filters.http.ext_authz"];
        assert_eq!(asked["disabled"], true);
    }
}
