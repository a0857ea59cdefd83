use serde_json::{Value, from_value, json};

use super::*;

fn deployment(name: &str, container: Value) -> Deployment {
    let spec = json!({
        "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": { "labels": { "app": name, "tier": "x" } }, "spec": { "containers": [container] } },
    });
    from_value(json!({ "metadata": { "name": name }, "spec": spec })).expect("a deployment")
}

fn values(found: &Found) -> Vec<(&str, &str)> {
    found
        .names
        .iter()
        .map(|name| (name.name, name.value.as_str()))
        .collect()
}

#[test]
fn a_terminal_by_the_keys_of_a_whole_secret_and_its_addresses() {
    let from = json!([{ "secretRef": { "name": "env" } }]);
    let objects = Objects {
        deployments: vec![
            deployment("runner", json!({ "name": "r", "envFrom": from })),
            deployment(
                "front",
                json!({ "name": "f", "envFrom": from, "ports": [{ "containerPort": 3000 }] }),
            ),
            deployment("other", json!({ "name": "o" })),
        ],
        secrets: [(
            "env".to_owned(),
            vec!["CONTAINER_ENV_HARNESS_AUTH_TOKEN".to_owned(), "MASTER_KEY".to_owned()],
        )]
        .into(),
        services: vec![
            from_value(json!({
                "metadata": { "name": "front" },
                "spec": { "selector": { "app": "front" }, "ports": [{ "port": 80 }, { "port": 8080 }] },
                "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.7" }] } },
            }))
            .expect("a service"),
        ],
        ingresses: vec![
            from_value(json!({
                "metadata": { "name": "front" },
                "spec": {
                    "tls": [{ "hosts": ["agents.example"] }],
                    "rules": [{ "host": "agents.example", "http": { "paths": [
                        { "pathType": "Prefix", "backend": { "service": { "name": "front" } } },
                    ] } }],
                },
            }))
            .expect("an ingress"),
        ],
        routes: Vec::new(),
        gateways: Vec::new(),
    };
    let found = find(&objects);
    let [terminals] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        values(terminals),
        [
            ("secret.name", "env"),
            ("secret.key", "CONTAINER_ENV_HARNESS_AUTH_TOKEN"),
            ("secret.master-key", "MASTER_KEY"),
            ("web.deployment", "front"),
            ("web.selector", "app=front"),
            ("web.port", "3000"),
            ("worker.deployment", "runner"),
            ("worker.selector", "app=runner"),
        ]
    );
    let addresses = terminals.addresses.iter().map(|exposed| exposed.address.as_str());
    assert_eq!(
        addresses.collect::<Vec<_>>(),
        ["https://agents.example", "http://192.0.2.7", "http://192.0.2.7:8080"]
    );
}

#[test]
fn an_agent_service_and_a_codex_login() {
    let secret = json!([{ "name": "AUTH_JWT_SECRET", "valueFrom": { "secretKeyRef": { "name": "jwt", "key": "s" } } }]);
    let plain = json!([{ "name": "AUTH_JWT_SECRET", "value": "not to be shown" }]);
    let mut litellm = deployment(
        "models",
        json!({ "name": "litellm", "ports": [{ "containerPort": 4000 }] }),
    );
    let claim = json!([{ "name": "login", "persistentVolumeClaim": { "claimName": "x-chatgpt-auth" } }]);
    if let Some(spec) = litellm.spec.as_mut().and_then(|spec| spec.template.spec.as_mut()) {
        spec.volumes = from_value(claim).expect("volumes");
    }
    let objects = Objects {
        deployments: vec![
            deployment(
                "access-control",
                json!({ "name": "a", "env": secret, "ports": [{ "containerPort": 9096 }] }),
            ),
            deployment("agents", json!({ "name": "s", "env": plain })),
            litellm,
        ],
        ..Objects::default()
    };
    let found = find(&objects);
    let [agents, codex] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        values(agents),
        [
            ("jwt.secret-name", "jwt"),
            ("jwt.secret-key", "s"),
            ("agent-service.selector", "app=agents"),
            ("access-control.selector", "app=access-control"),
            ("access-control.port", "9096"),
        ]
    );
    assert_eq!(
        values(codex),
        [
            ("litellm.deployment", "models"),
            ("litellm.selector", "app=models"),
            ("litellm.container", "litellm"),
            ("litellm.port", "4000"),
            ("auth.volume", "login"),
            ("auth.claim", "x-chatgpt-auth"),
        ]
    );
    assert!(!format!("{found:?}").contains("not to be shown"));
    assert!(find(&Objects::default()).is_empty());
}
