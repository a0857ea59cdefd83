//! A profile of a platform that somebody else runs, written by looking at it.

mod cluster;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::binary::{self, Ran, gauntlet};
use crate::installation::theirs::Theirs;
use cluster::{Cluster, Said};

/// What nobody can see from outside.
const TOLD: [&str; 6] = [
    "--set",
    "api.path=/api/agents",
    "--set",
    "session.label=belongs-to",
    "--set",
    "warm.selector=state=warm",
];

#[tokio::test]
async fn a_platform_is_judged_with_the_profile_that_was_written_of_it() {
    let theirs = Theirs::up(&[]).await;
    let before = theirs.state().await;
    let road = format!("balancer={}", theirs.doors["balancer"]);
    let ran = theirs.ran(&["init", "mine.yaml", "--yes", "--road", &road]).exits(0);
    assert_eq!(ran.stderr, "");
    assert!(
        ran.stdout.contains("found in namespace default: harness-token\n"),
        "{}",
        ran.stdout
    );
    // What the cluster has no kinds for is no error.
    assert!(
        ran.stdout
            .contains("\n  the cluster knows no ingresses, no HTTPRoutes\n"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("  proxy (port-forward, a pod with app=agents-web) answered "),
        "{}",
        ran.stdout
    );
    assert_eq!(theirs.state().await, before);
    assert!(theirs.journals().is_empty());
    let text = std::fs::read_to_string(theirs.path("mine.yaml")).expect("a profile");
    for line in [
        "  secret.name: agents-env  # HARNESS_AUTH_TOKEN of the deployment agents-web\n",
        "  secret.key: TTY_TOKEN  # HARNESS_AUTH_TOKEN of the deployment agents-web\n",
        "  secret.master-key: API_KEY  # MASTER_KEY of the deployment agents-web\n",
        "  web.deployment: agents-web  # the deployment agents-web\n",
        "  web.selector: app=agents-web  # the deployment agents-web\n",
        "  worker.deployment: agents-worker  # the deployment agents-worker\n",
        "  # api.path: /api/v1/managed_agents\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(text.contains("\n  balancer: http://"), "{text}");
    theirs.ran(&["check", "mine.yaml"]).exits(0);
    let run = [
        "run",
        "--target",
        "cluster",
        "--profile",
        "mine.yaml",
        "--allow",
        "use",
        "harness-token/token/accept",
    ];
    // Where the session API is nobody can see from outside; a run says what is missing.
    let unsaid = theirs.ran(&run).exits(3);
    let words = unsaid.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("the platform has no session API at /api/v1/managed_agents")
            && words.contains("say where it is as `api.path` in the profile"),
        "{}",
        unsaid.stdout
    );
    let ran = theirs.ran(&[&run[..], &TOLD].concat()).exits(0);
    assert!(ran.stdout.contains("3 passed, 0 failed"), "{}", ran.stdout);
    // What is there stays, unless it is said otherwise.
    let again = theirs.ran(&["init", "mine.yaml", "--yes"]).exits(2);
    assert_eq!(
        again.stderr,
        "gauntlet: mine.yaml is there already: --force overwrites it\n"
    );
    assert_eq!(
        std::fs::read_to_string(theirs.path("mine.yaml")).expect("a profile"),
        text
    );
    theirs.ran(&["init", "mine.yaml", "--yes", "--force"]).exits(0);
    let without = std::fs::read_to_string(theirs.path("mine.yaml")).expect("a profile");
    assert!(!without.contains("\n  balancer: "), "{without}");
}

#[tokio::test]
async fn what_was_found_is_asked_about() {
    let theirs = Theirs::up(&[]).await;
    let answered = |answers: &str| {
        let mut command = theirs.command(&["init", "asked.yaml", "--force"]);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("gauntlet starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // Who has heard enough closes it.
        let _closed = stdin.write_all(answers.as_bytes());
        drop(stdin);
        Ran::of(child.wait_with_output().expect("it ends"))
    };
    let nobody = answered("").exits(2);
    assert!(
        nobody
            .stderr
            .contains("harness-token, secret.name (HARNESS_AUTH_TOKEN of the deployment agents-web) [agents-env]: "),
        "{}",
        nobody.stderr
    );
    assert!(
        nobody
            .stderr
            .ends_with("nobody answers on standard input: --yes takes what is found\n"),
        "{}",
        nobody.stderr
    );
    assert!(!theirs.path("asked.yaml").exists());
    // A name that can't be one is asked for again; the rest is as it was found.
    let asked = answered(&format!("No Name\nother-env\n{}", "\n".repeat(50))).exits(0);
    assert!(
        asked.stderr.contains("`secret.name` is a name in Kubernetes"),
        "{}",
        asked.stderr
    );
    let text = std::fs::read_to_string(theirs.path("asked.yaml")).expect("a profile");
    assert!(text.contains("  secret.name: other-env  # as it was said\n"), "{text}");
    assert!(text.contains("  secret.key: TTY_TOKEN  # "), "{text}");
}

#[tokio::test]
async fn where_there_is_nothing_nothing_is_written() {
    let theirs = Theirs::up(&[]).await;
    let ran = theirs
        .ran(&["init", "none.yaml", "--yes", "--namespace", "elsewhere"])
        .exits(3);
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr
            .contains("no deployment in namespace elsewhere has a variable HARNESS_AUTH_TOKEN"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("there is something in default: --namespace names one"),
        "{}",
        ran.stderr
    );
    assert!(!theirs.path("none.yaml").exists());
}

/// A deployment with a service of its name.
fn deployment(name: &str, variable: &str) -> Value {
    let env = json!([{ "name": variable, "valueFrom": { "secretKeyRef": { "name": "env", "key": "KEY" } } }]);
    let container = json!({ "name": "c", "env": env, "ports": [{ "containerPort": 3000 }] });
    json!({
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": { "containers": [container] } },
        },
    })
}

#[test]
fn the_roads_are_found_by_what_exposes_the_doors() {
    let cluster = Cluster::serving(|port| {
        let route = |name: &str, gateway: &str| {
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": { "name": name, "namespace": "agents" },
                "spec": {
                    "parentRefs": [{ "name": gateway, "namespace": "edge" }],
                    "rules": [{ "backendRefs": [{ "name": name, "port": 80 }] }],
                },
            })
        };
        let public = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": { "name": "public", "namespace": "edge" },
            "spec": {
                "gatewayClassName": "envoy",
                "listeners": [
                    { "name": "plain", "port": port, "protocol": "HTTP" },
                    { "name": "tls", "port": port, "protocol": "HTTPS",
                      "tls": { "certificateRefs": [{ "name": "cert" }] } },
                ],
            },
            "status": { "addresses": [{ "value": "127.0.0.1" }] },
        });
        let service = |name: &str, kind: &str| json!({ "metadata": { "name": name }, "spec": { "type": kind, "selector": { "app": name } } });
        let deployments = json!([
            deployment("web", "HARNESS_AUTH_TOKEN"),
            deployment("agents", "AUTH_JWT_SECRET")
        ]);
        let services = json!([
            service("web", "ClusterIP"),
            service("agents", "ClusterIP"),
            service("edge", "LoadBalancer"),
        ]);
        let routes = json!([
            route("web", "public"),
            route("agents", "public"),
            route("web", "hidden")
        ]);
        BTreeMap::from([
            ("/apis/apps/v1/namespaces/agents/deployments", Said::Items(deployments)),
            ("/api/v1/namespaces/agents/services", Said::Items(services)),
            ("/api/v1/namespaces/agents/secrets", Said::Forbidden),
            ("/api/v1/namespaces/agents/pods", Said::Items(json!([]))),
            (
                "/apis/gateway.networking.k8s.io/v1/namespaces/agents/httproutes",
                Said::Items(routes),
            ),
            (
                "/apis/gateway.networking.k8s.io/v1/namespaces/edge/gateways/public",
                Said::Object(public),
            ),
            (
                "/apis/gateway.networking.k8s.io/v1/namespaces/edge/gateways/hidden",
                Said::Forbidden,
            ),
        ])
    });
    let folder = binary::folder();
    cluster.kubeconfig(&folder.path().join("k.yaml"));
    let mut command = gauntlet();
    let command = command.current_dir(folder.path()).env("KUBECONFIG", "k.yaml");
    let ran = Ran::of(
        command
            .args(["init", "mine.yaml", "--yes"])
            .output()
            .expect("gauntlet runs"),
    )
    .exits(0);
    let at = format!("127.0.0.1:{}", cluster.port);
    for line in [
        "looked at namespace agents: 2 deployments, 3 services, 3 HTTPRoutes\n",
        "  the cluster knows no ingresses\n",
        "  secrets may not be listed: nobody may list /api/v1/namespaces/agents/secrets (403 Forbidden)\n",
        "  Gateway hidden of namespace edge can't be read: nobody may list ",
        "  the service edge is a load balancer that has no address yet\n",
        "found in namespace agents: harness-token, agent-service\n",
        &format!("  balancer (http://{at}, HTTPRoute web, listener plain of the Gateway public) answered 401\n"),
        &format!("  envoy (http://{at}, HTTPRoute agents, listener plain of the Gateway public) answered 401\n"),
    ] {
        assert!(ran.stdout.contains(line), "{line} in\n{}", ran.stdout);
    }
    let text = std::fs::read_to_string(folder.path().join("mine.yaml")).expect("a profile");
    for line in [
        format!("\n  balancer: http://{at}  # HTTPRoute web, listener plain of the Gateway public; answered 401\n"),
        format!("\n  envoy: http://{at}  # HTTPRoute agents, listener plain of the Gateway public; answered 401\n"),
        // It doesn't speak TLS.
        format!(
            "\n  # balancer: https://{at}  # HTTPRoute web, listener tls of the Gateway public, TLS by the secret cert; \
             did not answer: "
        ),
    ] {
        assert!(text.contains(&line), "{line} in\n{text}");
    }
    let mut check = gauntlet();
    let check = check.current_dir(folder.path()).args(["check", "mine.yaml"]);
    Ran::of(check.output().expect("gauntlet runs")).exits(0);
}
