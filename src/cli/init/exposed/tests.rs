use serde_json::{from_value, json};

use super::*;

/// A deployment `web` behind a service `web`.
fn web() -> (Deployment, Objects) {
    let spec = json!({ "selector": {}, "template": { "metadata": { "labels": { "app": "web" } } } });
    let web = from_value(json!({ "metadata": { "name": "web" }, "spec": spec })).expect("a deployment");
    let service = json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "web" } } });
    let objects = Objects {
        services: vec![from_value(service).expect("a service")],
        ..Objects::default()
    };
    (web, objects)
}

fn object(kind: &str, namespace: &str, name: &str, spec: &Value, status: &Value) -> DynamicObject {
    from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
        "status": status,
    }))
    .expect("an object")
}

fn route(hostnames: &Value, parent: &Value) -> DynamicObject {
    let rules = json!([{ "backendRefs": [{ "name": "web", "port": 80 }] }]);
    let spec = json!({ "hostnames": hostnames, "parentRefs": [parent], "rules": rules });
    object("HTTPRoute", "agents", "doors", &spec, &Value::Null)
}

fn edge(listeners: &Value) -> DynamicObject {
    let spec = json!({ "gatewayClassName": "eg", "listeners": listeners });
    let status = json!({ "addresses": [{ "type": "IPAddress", "value": "2001:db8::7" }] });
    object("Gateway", "edge", "public", &spec, &status)
}

fn addresses(of: &[Exposed]) -> Vec<&str> {
    of.iter().map(|exposed| exposed.address.as_str()).collect()
}

#[test]
fn a_route_is_reached_at_the_listeners_of_its_gateway_tls_first() {
    let (web, mut objects) = web();
    let listeners = json!([
        { "name": "plain", "port": 80, "protocol": "HTTP" },
        { "name": "secure", "port": 443, "protocol": "HTTPS", "hostname": "*.example",
          "tls": { "certificateRefs": [{ "name": "cert" }] } },
        { "name": "through", "port": 8443, "protocol": "TLS" },
        { "name": "other", "port": 444, "protocol": "HTTPS", "hostname": "other.test" },
    ]);
    objects.gateways = vec![edge(&listeners)];
    let parent = json!({ "name": "public", "namespace": "edge" });
    objects.routes = vec![route(&json!(["agents.example", "*.agents.example"]), &parent)];
    let found = before(&objects, &web);
    assert_eq!(addresses(&found), ["https://agents.example", "http://agents.example"]);
    assert_eq!(
        found[0].seen,
        "HTTPRoute doors, listener secure of the Gateway public, TLS by the secret cert, at 2001:db8::7"
    );
    assert_eq!(found[0].class, "eg");

    // Without a host the gateway's own address is the door.
    objects.routes = vec![route(&Value::Null, &parent)];
    assert_eq!(
        addresses(&before(&objects, &web)),
        ["https://other.test:444", "http://[2001:db8::7]"]
    );
    // A route may name a listener, by name or port.
    for (part, value) in [("sectionName", json!("other")), ("port", json!(444))] {
        let mut named = parent.clone();
        named[part] = value;
        objects.routes = vec![route(&Value::Null, &named)];
        assert_eq!(addresses(&before(&objects, &web)), ["https://other.test:444"], "{part}");
    }
    // A gateway of that name in another namespace isn't it.
    objects.routes = vec![route(&Value::Null, &json!({ "name": "public" }))];
    assert!(before(&objects, &web).is_empty());
    // Nor is a route to something else.
    objects.routes = vec![route(&Value::Null, &parent)];
    objects.services.clear();
    assert!(before(&objects, &web).is_empty());
}

#[test]
fn an_ingress_without_a_host_is_reached_at_its_load_balancer() {
    let (web, mut objects) = web();
    let backend = json!({ "service": { "name": "web", "port": { "number": 80 } } });
    let rules =
        |host: Value| json!([{ "host": host, "http": { "paths": [{ "pathType": "Prefix", "backend": backend }] } }]);
    let ingress = |spec: Value| -> Ingress {
        let annotations = json!({ "alb.ingress.kubernetes.io/listen-ports": "[{\"HTTPS\":443}]" });
        let status = json!({ "loadBalancer": { "ingress": [{ "hostname": "k8s-x.elb.example" }] } });
        let metadata = json!({ "name": "doors", "annotations": annotations });
        from_value(json!({ "metadata": metadata, "spec": spec, "status": status })).expect("an ingress")
    };
    for spec in [
        json!({ "rules": rules(Value::Null) }),
        json!({ "defaultBackend": backend }),
    ] {
        objects.ingresses = vec![ingress(spec)];
        assert_eq!(addresses(&before(&objects, &web)), ["https://k8s-x.elb.example"]);
    }
    objects.ingresses = vec![ingress(
        json!({ "ingressClassName": "alb", "rules": rules(json!("agents.example")) }),
    )];
    let found = before(&objects, &web);
    assert_eq!(addresses(&found), ["https://agents.example"]);
    assert_eq!(found[0].seen, "the ingress doors, at k8s-x.elb.example");
    assert_eq!(found[0].class, "alb");
    objects.ingresses = vec![ingress(json!({ "rules": rules(json!("*.example")) }))];
    assert!(before(&objects, &web).is_empty());
}

#[test]
fn load_balancers_of_which_too_little_is_known_are_told() {
    let (web, mut objects) = web();
    let service = |name: &str, app: &str, status: Value| -> Service {
        let ports = json!([{ "name": "https-web", "port": 8443 }]);
        let spec = json!({ "type": "LoadBalancer", "selector": { "app": app }, "ports": ports });
        from_value(json!({ "metadata": { "name": name }, "spec": spec, "status": status })).expect("a service")
    };
    let status = |ip: &str| json!({ "loadBalancer": { "ingress": [{ "ip": ip }] } });
    objects.services = vec![
        service("web", "web", status("192.0.2.1")),
        service("edge", "nginx", status("192.0.2.2")),
        service("new", "web", json!({})),
    ];
    let found = before(&objects, &web);
    assert_eq!(addresses(&found), ["https://192.0.2.1:8443"]);
    assert!(gateways_before(&objects, &web).is_empty(), "it leads straight there");
    let known: Vec<&Exposed> = found.iter().collect();
    assert_eq!(
        open_questions(&objects, &known),
        [
            "the service edge is a load balancer, and nothing says that a door is behind it; if one is: --road \
             balancer=https://192.0.2.2:8443",
            "the service new is a load balancer that has no address yet",
        ]
    );
}
