//! nginx as the gateway: `auth_request` asks access control.

use std::fmt::Write;

use super::upstream_slot::{Hops, Route};
use crate::platform::Mutant;
use crate::platform::mutant;

/// What the service gets to see of a client's headers, beside `Host` and what the upgrade needs.
const FORWARDED: [&str; 18] = [
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "If-Match",
    "If-None-Match",
    "Origin",
    "Range",
    "Referer",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Version",
    "User-Agent",
];

/// The configuration of an nginx that has these slots, its files in `folder`.
///
/// nginx can't take out headers by how their names begin, so it hands on those of [`FORWARDED`] and no others:
/// nothing that begins with `x-user-` reaches anybody. The three headers are what access control says. A path is
/// matched as nginx reads it, and both are asked about it as it came. Nothing is logged of requests: with an error,
/// too, nginx writes the request's line, and the token in its query.
pub fn configuration(folder: &str, slots: &[(String, Hops)], route: &Route, mutants: &[&Mutant]) -> String {
    let has = |mutant: &Mutant| mutants.contains(&mutant);
    let mut text = format!(
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  server_tokens off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  large_client_header_buffers 4 16k;
"
    );
    // A pattern is matched in its own case, a plain text in any.
    text.push_str(match has(&mutant::NGINX_UPGRADE_ONE_CASE) {
        true => "  map $http_upgrade $upgrade_or_close { default close; ~^websocket$ upgrade; }\n",
        false => "  map $http_upgrade $upgrade_or_close { default upgrade; '' close; }\n",
    });
    if has(&mutant::NGINX_BODY_LIMIT) {
        text.push_str("  client_max_body_size 64k;\n");
    }
    if has(&mutant::NGINX_QUERY_IN_LOG) {
        text = text.replace("access_log off;", "access_log /dev/stdout;");
    }
    if has(&mutant::NGINX_UNDERSCORES_KEPT) {
        text.push_str("  underscores_in_headers on;\n");
    }
    if has(&mutant::NGINX_DECISIONS_CACHED) {
        let _infallible = writeln!(text, "  proxy_cache_path {folder}/decisions keys_zone=decisions:1m;");
    }
    for (number, (listen, hops)) in slots.iter().enumerate() {
        server(&mut text, number, listen, hops, route, &has);
    }
    text.push_str("}\n");
    text
}

/// Names that have no other meaning: those of a slot's upstreams.
fn upstream(number: usize, name: &str, address: &str) -> String {
    format!("  upstream {name}_{number} {{ server {address}; }}\n")
}

fn server(text: &mut String, number: usize, listen: &str, hops: &Hops, route: &Route, has: &dyn Fn(&Mutant) -> bool) {
    let Route { agents, health, .. } = route;
    text.push_str(&upstream(number, "service", &hops.service));
    let to_service = to_service(number, has);
    let open = "      proxy_set_header X-User-Id '';
      proxy_set_header X-User-Name '';
      proxy_set_header X-User-Email '';
";
    let guarded = match &hops.access_control {
        Some(access_control) => {
            text.push_str(&upstream(number, "access_control", access_control));
            guarded(has)
        }
        None => open.to_owned(),
    };
    let mut locations = vec![
        ("/".to_owned(), "      return 404;\n".to_owned()),
        (format!("= {agents}"), format!("{guarded}{to_service}")),
        (format!("{agents}/"), format!("{guarded}{to_service}")),
    ];
    if hops.access_control.is_some() {
        locations.push(("= /.authorize".to_owned(), authorize(number, route, has)));
    }
    if !has(&mutant::NGINX_HEALTH_NOT_ROUTED) {
        locations.push((format!("= {health}"), format!("{open}{to_service}")));
    }
    if has(&mutant::NGINX_CONVERSATIONS_UNGUARDED) {
        locations.push(("~ /react$".to_owned(), format!("{open}{to_service}")));
    }
    if has(&mutant::NGINX_MODELS_UNGUARDED) {
        locations.push((format!("= {agents}/models"), format!("{open}{to_service}")));
    }
    let others = format!("{open}{to_service}");
    if has(&mutant::NGINX_OPEN_ON_ERROR) || has(&mutant::NGINX_ONLY_GET_GUARDED) {
        locations.push(("@service".to_owned(), to_service));
    }
    // Writing to a String can't fail.
    let _infallible = write!(text, "  server {{\n    listen {listen};\n");
    for (place, lines) in locations {
        let _infallible = write!(text, "    location {place} {{\n{lines}    }}\n");
    }
    text.push_str("  }\n");
    if has(&mutant::NGINX_OTHER_HOST_UNGUARDED) {
        let names = "localhost 127.0.0.1";
        let _infallible = write!(
            text,
            "  server {{\n    listen {listen};\n    server_name {names};\n    location / {{\n{others}    }}\n  }}\n"
        );
    }
}

/// The locations that ask access control first.
fn guarded(has: &dyn Fn(&Mutant) -> bool) -> String {
    let mut lines = String::from("      auth_request /.authorize;\n");
    for (name, variable) in [
        ("X-User-Id", "user_id"),
        ("X-User-Name", "user_name"),
        ("X-User-Email", "user_email"),
    ] {
        if name == "X-User-Email" && has(&mutant::NGINX_EMAIL_NOT_SET) {
            continue;
        }
        let _infallible = write!(
            lines,
            "      auth_request_set ${variable} $upstream_http_x_{variable};
      proxy_set_header {name} ${variable};
"
        );
    }
    if has(&mutant::NGINX_OPEN_ON_ERROR) {
        lines.push_str("      error_page 500 = @service;\n");
    }
    if has(&mutant::NGINX_ONLY_GET_GUARDED) {
        lines.push_str("      error_page 418 = @service;\n      if ($request_method != GET) { return 418; }\n");
    }
    lines
}

fn to_service(number: usize, has: &dyn Fn(&Mutant) -> bool) -> String {
    let mut lines = format!(
        "      proxy_pass http://service_{number};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
"
    );
    let all = [
        &mutant::NGINX_USER_ROLE_KEPT,
        &mutant::NGINX_EMAIL_NOT_SET,
        &mutant::NGINX_UNDERSCORES_KEPT,
    ];
    if !all.into_iter().any(has) {
        lines.push_str("      proxy_pass_request_headers off;\n");
    }
    for name in FORWARDED {
        let variable = name.to_ascii_lowercase().replace('-', "_");
        let _infallible = writeln!(lines, "      proxy_set_header {name} $http_{variable};");
    }
    lines.push_str(match has(&mutant::NGINX_QUIET_CUT) {
        true => "      proxy_read_timeout 1s;\n",
        false => "      proxy_read_timeout 5m;\n",
    });
    lines.push_str(match has(&mutant::NGINX_UPGRADE_LOST) {
        true => "",
        false => {
            "      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $upgrade_or_close;
"
        }
    });
    lines
}

/// The question: the request's method and target, its token, and no body.
fn authorize(number: usize, route: &Route, has: &dyn Fn(&Mutant) -> bool) -> String {
    let Route {
        auth,
        authorizer_timeout,
        ..
    } = route;
    let target = match has(&mutant::NGINX_ASKS_WITHOUT_QUERY) {
        true => "$uri",
        false => "$request_uri",
    };
    let mut lines = format!(
        "      internal;
      proxy_pass http://access_control_{number}{auth}{target};
      proxy_method $request_method;
      proxy_pass_request_headers off;
      proxy_pass_request_body off;
      proxy_set_header Content-Length '';
      proxy_set_header Host $http_host;
      proxy_set_header Authorization $http_authorization;
      proxy_connect_timeout {authorizer_timeout};
      proxy_read_timeout {authorizer_timeout};
"
    );
    if has(&mutant::NGINX_DECISIONS_CACHED) {
        lines.push_str(
            "      proxy_cache decisions;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 1m;
      proxy_ignore_headers Cache-Control Expires;
",
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::names;

    fn told(mutants: &[&Mutant]) -> String {
        let hops = Hops {
            service: "127.0.0.1:3001".into(),
            access_control: Some("127.0.0.1:9096".into()),
        };
        let route = Route::of(&names::contract());
        configuration("/tmp/gateway", &[("127.0.0.1:8010".into(), hops)], &route, mutants)
    }

    /// How often a line stands there.
    fn count(told: &str, line: &str) -> usize {
        told.lines().filter(|other| other.trim() == line).count()
    }

    #[test]
    fn only_headers_of_a_list_go_on() {
        let right = told(&[]);
        // The agents' two locations, the health check's, and the question to access control.
        assert_eq!(count(&right, "proxy_pass_request_headers off;"), 4);
        assert_eq!(
            count(&right, "proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key;"),
            3
        );
        for mutant in [
            &mutant::NGINX_USER_ROLE_KEPT,
            &mutant::NGINX_EMAIL_NOT_SET,
            &mutant::NGINX_UNDERSCORES_KEPT,
        ] {
            assert_eq!(
                count(&told(&[mutant]), "proxy_pass_request_headers off;"),
                1,
                "{}",
                mutant.name
            );
        }
    }

    #[test]
    fn mutants_leave_a_door_open() {
        assert_eq!(count(&told(&[]), "auth_request /.authorize;"), 2);
        let models = "location = /api/agents/models {";
        assert_eq!(
            (
                count(&told(&[]), models),
                count(&told(&[&mutant::NGINX_MODELS_UNGUARDED]), models)
            ),
            (0, 1)
        );
        let named = "server_name localhost 127.0.0.1;";
        assert_eq!(
            (
                count(&told(&[]), named),
                count(&told(&[&mutant::NGINX_OTHER_HOST_UNGUARDED]), named)
            ),
            (0, 1)
        );
    }
}
