//! One request to one backend, on a connection of its own.
//!
//! What is changed on the way: hop-by-hop headers go (RFC 9110 §7.6.1), those
//! of an upgrade stay; `X-Forwarded-For` and `-Proto` are added; of an upgrade
//! `Authorization` is taken away (row alb/strip). The target goes on byte for byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONNECTION, HeaderName, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::super::backends::Backends;
use super::super::http::{Answer, error};
use super::super::tunnel::Cut;
use super::super::{ComponentError, Pod, mutant, relay};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_AUTHORIZATION: HeaderName = HeaderName::from_static("x-forwarded-authorization");

pub struct Forwarder {
    pod: Pod,
    backends: Arc<Backends>,
    strips: bool,
    cut: Cut,
}

impl Forwarder {
    pub fn new(pod: &Pod, backends: Arc<Backends>) -> Result<Forwarder, ComponentError> {
        let strips = match pod.var_or("STRIP_AUTHORIZATION", "true") {
            "true" => true,
            "false" => false,
            other => {
                return Err(ComponentError(format!(
                    "STRIP_AUTHORIZATION is neither true nor false: {other:?}"
                )));
            }
        };
        let timeout = pod.duration("IDLE_TIMEOUT", Duration::from_secs(60))?;
        let cut = if pod.has(&mutant::IDLE_TIMEOUT_IGNORED) {
            Cut::Never
        } else if pod.has(&mutant::IDLE_COUNTS_FROM_START) {
            Cut::Age(timeout)
        } else {
            Cut::Idle(timeout)
        };
        Ok(Forwarder {
            pod: pod.clone(),
            backends,
            strips,
            cut,
        })
    }

    /// Hands a request on: 503 where nobody is there for it, 502 where nobody answers.
    pub async fn forward(&self, mut request: Request<Incoming>, peer: SocketAddr, proto: &'static str) -> Answer {
        let Some(stream) = relay::connect(&self.pod, &self.backends, request.uri().path()).await else {
            return error(StatusCode::SERVICE_UNAVAILABLE, "no backend").into();
        };
        let Ok(stream) = stream else {
            return error(StatusCode::BAD_GATEWAY, "no backend can be reached").into();
        };
        if self.pod.has(&mutant::BALANCER_UPGRADES_ALL) && request.uri().path().ends_with("/tty") {
            complete_upgrade(request.headers_mut());
        }
        let is_upgrade = relay::is_upgrade(request.headers());
        let client = hyper::upgrade::on(&mut request);
        let (mut parts, body) = request.into_parts();
        parts.uri = self.target(&parts.uri, &parts.headers, is_upgrade);
        self.change_headers(&mut parts.headers, is_upgrade, peer, proto);
        match relay::exchange(stream, Request::from_parts(parts, body), client, self.cut).await {
            Ok(answer) => answer,
            Err(wrong) => {
                self.pod.log.line(format!("backend: {wrong}"));
                error(StatusCode::BAD_GATEWAY, "the backend broke off").into()
            }
        }
    }

    /// The request's target: as it came, but for the mutants.
    fn target(&self, uri: &Uri, headers: &HeaderMap, is_upgrade: bool) -> Uri {
        let as_it_came = uri.path_and_query().map_or("/", |target| target.as_str());
        let query = uri.query().unwrap_or("");
        let changed = if is_upgrade && self.pod.has(&mutant::BALANCER_DROPS_QUERY) {
            uri.path().to_owned()
        } else if self.pod.has(&mutant::BALANCER_REENCODES_QUERY) && !query.is_empty() {
            format!("{}?{}", uri.path(), reencoded(query))
        } else if is_upgrade && self.pod.has(&mutant::BALANCER_ONE_CREDENTIAL) && headers.contains_key(AUTHORIZATION) {
            let others: Vec<_> = query
                .split('&')
                .filter(|parameter| !parameter.starts_with("token="))
                .collect();
            format!("{}?{}", uri.path(), others.join("&"))
        } else {
            as_it_came.to_owned()
        };
        changed.parse().unwrap_or_else(|_| uri.clone())
    }

    fn change_headers(&self, headers: &mut HeaderMap, is_upgrade: bool, peer: SocketAddr, proto: &'static str) {
        relay::end_hop(headers, is_upgrade);
        let strips = (is_upgrade && self.strips && !self.pod.has(&mutant::BALANCER_KEEPS_AUTHORIZATION))
            || self.pod.has(&mutant::BALANCER_STRIPS_ALWAYS);
        if strips
            && let Some(authorization) = headers.remove(AUTHORIZATION)
            && self.pod.has(&mutant::FORWARDED_HEADER_HONOURED)
        {
            headers.insert(FORWARDED_AUTHORIZATION, authorization);
        }
        let before = headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok());
        let chain = before.map_or_else(|| peer.ip().to_string(), |before| format!("{before}, {}", peer.ip()));
        if let Ok(chain) = HeaderValue::from_str(&chain) {
            headers.insert(FORWARDED_FOR, chain);
        }
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
}

/// The mutant `balancer-upgrades-all`.
fn complete_upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    for (name, value) in [
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "Z2F1bnRsZXQtZ2F1bnRsZQ=="),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// The mutant `balancer-reencodes-query`.
fn reencoded(query: &str) -> String {
    let encode =
        |text: &str| percent_encode(&percent_decode_str(text).collect::<Vec<_>>(), NON_ALPHANUMERIC).to_string();
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, value)) => format!("{}={}", encode(name), encode(value)),
        None => encode(parameter),
    });
    parameters.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::super::super::pod::tests::pod;
    use super::*;

    fn forwarder(env: &[(&str, &str)]) -> Forwarder {
        let pod = pod(env);
        let backends = Backends::with(
            &pod,
            super::super::TARGETS,
            &[("web", IpAddr::from([127, 0, 0, 1]), "litellm-web")],
        );
        Forwarder::new(&pod, Arc::new(backends)).expect("a forwarder")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn changed(env: &[(&str, &str)], pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = headers(pairs);
        let upgrade = relay::is_upgrade(&headers);
        forwarder(env).change_headers(&mut headers, upgrade, SocketAddr::from(([10, 0, 0, 9], 1)), "https");
        headers
    }

    const UPGRADING: [(&str, &str); 3] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("authorization", "Bearer x"),
    ];

    #[test]
    fn only_upgrades_lose_their_authorization() {
        let upgrade = changed(&[], &UPGRADING);
        assert!(!upgrade.contains_key("authorization"));
        assert_eq!(
            (&upgrade["connection"], &upgrade["upgrade"]),
            (
                &"Upgrade".parse().expect("a value"),
                &"websocket".parse().expect("a value")
            )
        );
        assert!(changed(&[("STRIP_AUTHORIZATION", "false")], &UPGRADING).contains_key("authorization"));
        for ordinary in [
            &[("authorization", "Bearer x")][..],
            &[("authorization", "Bearer x"), ("upgrade", "websocket")],
        ] {
            let ordinary = changed(&[], ordinary);
            assert!(ordinary.contains_key("authorization") && !ordinary.contains_key("upgrade"));
        }
        assert!(
            changed(&[("GAUNTLET_MUTANTS", "balancer-keeps-authorization")], &UPGRADING).contains_key("authorization")
        );
        let always = changed(
            &[("GAUNTLET_MUTANTS", "balancer-strips-always")],
            &[("authorization", "Bearer x")],
        );
        assert!(!always.contains_key("authorization"));
    }

    #[test]
    fn what_is_no_upgrade_is_made_one() {
        let mut plain = headers(&[("host", "a"), ("sec-websocket-key", "b")]);
        complete_upgrade(&mut plain);
        assert!(relay::is_upgrade(&plain));
        assert_eq!(
            (&plain["sec-websocket-version"], &plain["sec-websocket-key"]),
            (&HeaderValue::from_static("13"), &HeaderValue::from_static("b"))
        );
    }

    #[test]
    fn the_way_is_told_and_hop_by_hop_headers_end() {
        let told = changed(
            &[],
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("connection", "x-secret"),
                ("x-secret", "1"),
                ("te", "trailers"),
                ("x-other", "2"),
            ],
        );
        assert_eq!(told["x-forwarded-for"], "1.2.3.4, 10.0.0.9");
        assert_eq!(told["x-forwarded-proto"], "https");
        assert_eq!(told["x-other"], "2");
        assert!(
            ["connection", "x-secret", "te"]
                .iter()
                .all(|name| !told.contains_key(*name))
        );
    }

    #[test]
    fn mutants_change_the_target() {
        let target = |mutant: &str, uri: &str| {
            forwarder(&[("GAUNTLET_MUTANTS", mutant)])
                .target(&uri.parse().expect("a target"), &headers(&UPGRADING), true)
                .to_string()
        };
        assert_eq!(target("balancer-drops-query", "/tty?token=x"), "/tty");
        assert_eq!(
            target("balancer-reencodes-query", "/tty?token=a+b%2f-"),
            "/tty?token=a%2Bb%2F%2D"
        );
        assert_eq!(target("balancer-one-credential", "/tty?a=1&token=x"), "/tty?a=1");
    }

    proptest! {
        #[test]
        fn the_target_goes_on_byte_for_byte(target in "/[a-zA-Z0-9/_.;%+-]{0,20}(\\?[a-zA-Z0-9=&;%+/?_.\\[\\]-]{0,60})?") {
            let uri: Uri = target.parse().expect("a target");
            prop_assert_eq!(forwarder(&[]).target(&uri, &HeaderMap::new(), true).to_string(), target);
        }
    }
}
