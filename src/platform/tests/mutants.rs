//! The mutants that need the whole platform break what they say: each test
//! takes a way that the tests of the unbroken platform show to be shut or open.

use k8s_openapi::api::core::v1::Event;
use kube::api::LogParams;

use super::*;

async fn world(mutants: &'static str) -> World {
    let setup = Setup {
        token: Some(OLD),
        mutants,
        ..Setup::default()
    };
    World::start(setup).await
}

/// A world behind a balancer, a session in it, and the balancer's address.
async fn balanced(mutants: &'static str) -> (World, Value, IpAddr) {
    let setup = Setup {
        token: Some(OLD),
        mutants,
        balancer: true,
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let session = world.session().await;
    let balancer = world.balancer().await;
    (world, session, balancer)
}

#[tokio::test]
async fn through_the_proxy_an_old_token_opens_an_old_session() {
    for mutants in ["proxy-unchecked", "proxy-vouches"] {
        let world = world(mutants).await;
        let session = world.session().await;
        world.set_token(NEW).await;
        world.restart().await;
        let token = if mutants == "proxy-unchecked" { OLD } else { NEW };
        assert_eq!(refusal(world.attach(&session, Some(token)).await), 101, "{mutants}");
    }
}

#[tokio::test]
async fn the_old_token_lives_on() {
    let world_1 = world("restart-keeps-template").await;
    let session = world_1.session().await;
    world_1.set_token(NEW).await;
    world_1.restart().await;
    let path = format!("/sessions/{}/restart", text(&session["id"]));
    let (_, restarted) = world_1.call("POST", &path, Value::Null).await;
    assert_eq!(restarted["tty_token"], OLD);
    assert_eq!(refusal(world_1.attach(&restarted, Some(NEW)).await), 401);
    world_1.cluster.stop().await;
    for (mutants, shown) in [
        ("new-session-old-token", OLD),
        ("previous-token-accepted", NEW),
        ("web-remembers-token", OLD),
    ] {
        let world = world(mutants).await;
        world.session().await;
        world.set_token(NEW).await;
        world.restart().await;
        let session = world.session().await;
        assert_eq!(session["tty_token"], shown, "{mutants}");
        let with_old = refusal(world.attach(&session, Some(OLD)).await);
        assert_eq!(
            with_old,
            if mutants == "new-session-old-token" { 401 } else { 101 },
            "{mutants}"
        );
        world.cluster.stop().await;
    }
}

#[tokio::test]
async fn web_follows_the_secret_without_a_restart() {
    let world = world("web-follows-secret").await;
    world.set_token(NEW).await;
    let session = world.session().await;
    assert_eq!(session["tty_token"], NEW);
    assert_eq!(refusal(world.attach(&session, Some(NEW)).await), 101);
    world.cluster.stop().await;
}

#[tokio::test]
async fn warm_pods_are_staler_or_fresher_than_they_should_be() {
    for mutants in [
        "warm-clones-template",
        "unset-sandbox-adopts-token",
        "worker-recycles-stale",
        "unset-token-opens",
    ] {
        let world = World::start(Setup {
            mutants,
            warm_pool: 1,
            ..Setup::default()
        })
        .await;
        let stale = world.warm(1).await.remove(0);
        world.set_token(NEW).await;
        world.restart().await;
        if mutants == "worker-recycles-stale" {
            world
                .until("another warm pod", async || {
                    (world.ready_pods("pool=warm").await.first()?.0 != stale.0).then_some(())
                })
                .await;
        } else if mutants != "warm-clones-template" {
            assert_eq!(
                refusal(attach(stale.1, 4096, "/tty", Some(NEW), None).await),
                101,
                "{mutants}"
            );
        } else {
            world.delete_sandbox(&stale.0).await;
            let fresh = world
                .until("a fresh one", async || {
                    world.ready_pods("pool=warm").await.pop().filter(|pod| pod.0 != stale.0)
                })
                .await;
            assert_eq!(refusal(attach(fresh.1, 4096, "/tty", Some(NEW), None).await), 401);
        }
        world.cluster.stop().await;
    }
}

#[tokio::test]
async fn a_stop_of_web_cuts_terminals() {
    let world = world("stop-cuts-terminals").await;
    let session = world.session().await;
    let mut open = world.attach(&session, Some(OLD)).await.expect("attached");
    world.restart().await;
    open.ends().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn the_session_api_shows_another_token() {
    let world_1 = world("token-in-other-variable").await;
    let session = world_1.session().await;
    assert!(session["tty_token"].is_null());
    assert_eq!(refusal(world_1.attach(&session, Some(OLD)).await), 401);
    world_1.cluster.stop().await;
    let world_2 = world("tty-token-made-up").await;
    let session = world_2.session().await;
    assert_eq!(
        refusal(world_2.attach(&session, session["tty_token"].as_str()).await),
        401
    );
    assert_eq!(refusal(world_2.attach(&session, Some(OLD)).await), 101);
    world_2.cluster.stop().await;
    let world_3 = World::start(Setup {
        mutants: "tty-token-empty-text",
        ..Setup::default()
    })
    .await;
    assert_eq!(world_3.session().await["tty_token"], "");
    world_3.cluster.stop().await;
}

#[tokio::test]
async fn proxy_and_sandbox_disagree() {
    let world_1 = world("proxy-header-wins,sandbox-last-duplicate,token-once").await;
    let session = world_1.session().await;
    let (web, path) = (world_1.web().await, text(&session["tty_url"]));
    assert_eq!(refusal(attach(web, 3000, path, Some(OLD), Some("wrong")).await), 401);
    let twice = format!("{OLD}&token=wrong");
    assert_eq!(refusal(world_1.attach(&session, Some(&twice)).await), 401);
    assert_eq!(refusal(world_1.attach(&session, Some(OLD)).await), 101);
    let other = world_1.session().await;
    assert_eq!(refusal(world_1.attach(&other, Some(OLD)).await), 401);
    assert_eq!(refusal(world_1.attach_directly(&other, Some(OLD)).await), 101);
    world_1.cluster.stop().await;
}

#[tokio::test]
async fn the_seed_goes_wrong() {
    for (mutants, there) in [
        ("seed-only-whole-secret", None),
        ("seed-overwrites", Some(OLD)),
        ("seed-with-newline", None),
        ("seed-short-token", None),
    ] {
        let world = World::start(Setup {
            token: there,
            mutants,
            ..Setup::default()
        })
        .await;
        let objects = deploy::objects(deploy::SEED, &world.values).expect("the manifest");
        deploy::create(&world.client, "default", objects, |_| true)
            .await
            .expect("deployed");
        let ended = |pod: Option<&KubernetesPod>| {
            pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()) == Some("Succeeded")
        };
        let ended = await_condition(world.api::<KubernetesPod>(), "seed", ended);
        tokio::time::timeout(SOON, ended)
            .await
            .expect("an end")
            .expect("a watch");
        let secret = world.api::<Secret>().get("litellm-env").await.expect("the secret");
        let token = secret
            .data
            .and_then(|mut data| data.remove("HARNESS_AUTH_TOKEN"))
            .map(|value| value.0.len());
        let same = there.is_some() && token == Some(64);
        match mutants {
            "seed-only-whole-secret" => assert_eq!(token, None),
            "seed-overwrites" => assert!(same),
            "seed-with-newline" => assert_eq!(token, Some(65)),
            _ => assert_eq!(token, Some(32)),
        }
        world.cluster.stop().await;
    }
}

#[tokio::test]
async fn the_token_leaks() {
    let setup = Setup {
        token: Some(OLD),
        warm_pool: 1,
        mutants: "token-in-event,token-in-access-log,token-in-redirect",
        ..Setup::default()
    };
    let world = World::start(setup).await;
    world.warm(1).await;
    let events = world.api::<Event>().list(&ListParams::default()).await.expect("events");
    assert!(
        events
            .items
            .iter()
            .any(|event| event.message.as_ref().is_some_and(|message| message.contains(OLD)))
    );
    let session = world.session().await;
    drop(world.attach(&session, Some(OLD)).await.expect("attached"));
    let (web, ip) = world.ready_pods("app=litellm-web").await.remove(0);
    let log = world
        .api::<KubernetesPod>()
        .logs(&web, &LogParams::default())
        .await
        .expect("a log");
    assert!(log.contains(OLD), "{log}");
    let target = format!("/{}?token=canary", text(&session["tty_url"]));
    let (status, headers, _) = request(ip, 3000, "GET", &target, &[], &Value::Null).await;
    let location = headers["location"].to_str().expect("a text");
    assert!(
        status == 308 && location.ends_with("?token=canary") && !location.starts_with("//"),
        "{location}"
    );
    world.cluster.stop().await;
}

/// Neither log, nor event, nor answer of the unbroken platform has the token in it.
#[tokio::test]
async fn the_unbroken_platform_keeps_it() {
    let setup = Setup {
        token: Some(OLD),
        warm_pool: 1,
        balancer: true,
        ..Setup::default()
    };
    let world = World::start(setup).await;
    world.warm(1).await;
    let session = world.session().await;
    let balancer = world.balancer().await;
    world.attach(&session, Some(OLD)).await.expect("attached").works().await;
    let path = text(&session["tty_url"]);
    attach(balancer, 8080, path, Some(OLD), None)
        .await
        .expect("attached")
        .works()
        .await;
    assert_eq!(refusal(world.attach(&session, Some(&format!("{OLD}0"))).await), 401);
    let events = world.api::<Event>().list(&ListParams::default()).await.expect("events");
    assert!(!json!(events.items).to_string().contains(OLD));
    let pods: Api<KubernetesPod> = world.api();
    for pod in pods.list(&ListParams::default()).await.expect("pods") {
        let log = pods
            .logs(&pod.metadata.name.unwrap_or_default(), &LogParams::default())
            .await
            .expect("a log");
        assert!(!log.contains(OLD), "{log}");
    }
    world.cluster.stop().await;
}

#[tokio::test]
async fn the_balancer_mistreats_upgrades() {
    for (mutants, token, bearer, wanted) in [
        ("balancer-keeps-authorization", None, Some(OLD), 101),
        ("forwarded-header-honoured", None, Some(OLD), 101),
        ("balancer-drops-query", Some(OLD), None, 401),
        ("balancer-one-credential", Some(OLD), Some("wrong"), 401),
    ] {
        let (world, session, balancer) = balanced(mutants).await;
        assert_eq!(
            refusal(attach(balancer, 8080, text(&session["tty_url"]), token, bearer).await),
            wanted,
            "{mutants}"
        );
        world.cluster.stop().await;
    }
    let (world, _, balancer) = balanced("balancer-strips-always,balancer-reencodes-query").await;
    let headers = [("authorization", "Bearer x")];
    let (_, _, seen) = request(balancer, 8080, "GET", "/probe?a=b-c", &headers, &Value::Null).await;
    assert_eq!(seen["query"], "a=b%2Dc");
    assert!(!seen["headers"].to_string().contains("authorization"));
    world.cluster.stop().await;
}

#[tokio::test]
async fn the_balancer_cuts_who_pings_and_keeps_who_is_quiet() {
    let short = Setup {
        token: Some(OLD),
        balancer: true,
        idle_timeout: "300ms",
        ..Setup::default()
    };
    let world = World::start(Setup {
        mutants: "idle-counts-from-start",
        ..short
    })
    .await;
    let session = world.session().await;
    let path = text(&session["tty_url"]);
    let mut pinging = attach(world.balancer().await, 8080, path, Some(OLD), None)
        .await
        .expect("attached");
    let cut = async {
        while pinging.socket.send(Message::Ping(Default::default())).await.is_ok() {
            if let Ok(None | Some(Err(_))) =
                tokio::time::timeout(Duration::from_millis(30), pinging.socket.next()).await
            {
                break;
            }
        }
    };
    tokio::time::timeout(SOON, cut).await.expect("a cut");
    world.cluster.stop().await;
    let world = World::start(Setup {
        mutants: "idle-timeout-ignored",
        ..short
    })
    .await;
    let session = world.session().await;
    let path = text(&session["tty_url"]);
    let mut quiet = attach(world.balancer().await, 8080, path, Some(OLD), None)
        .await
        .expect("attached");
    quiet.works().await;
    let still = tokio::time::timeout(Duration::from_millis(900), async {
        while let Some(Ok(_)) = quiet.socket.next().await {}
    });
    assert!(still.await.is_err());
    quiet.works().await;
    world.cluster.stop().await;
}

#[tokio::test]
async fn with_tls_the_plain_port_gives_the_token_away() {
    let key = rcgen::generate_simple_self_signed(vec!["balancer.test".into()]).expect("a certificate");
    let pem: &'static str = Box::leak(key.cert.pem().into_boxed_str());
    let private: &'static str = Box::leak(key.signing_key.serialize_pem().into_boxed_str());
    for (mutants, wanted) in [("plain-port-forwards", 101), ("plain-port-redirects-token", 308)] {
        let setup = Setup {
            token: Some(OLD),
            mutants,
            balancer: true,
            tls: Some((pem, private)),
            ..Setup::default()
        };
        let world = World::start(setup).await;
        let session = world.session().await;
        let balancer = world.balancer().await;
        assert_eq!(
            refusal(attach(balancer, 8080, text(&session["tty_url"]), Some(OLD), None).await),
            wanted,
            "{mutants}"
        );
        if wanted == 308 {
            let (_, headers, _) = request(balancer, 8080, "GET", "/x?token=canary", &[], &Value::Null).await;
            assert!(
                headers["location"]
                    .to_str()
                    .expect("a text")
                    .ends_with(":8443/x?token=canary")
            );
        }
        world.cluster.stop().await;
    }
}

/// As many as the pool has connections come in, and the next one when somebody has left.
#[tokio::test]
async fn a_pool_of_web_lets_others_wait() {
    let world = world("proxy-pool-exhausted").await;
    let session = world.session().await;
    let mut open = Vec::new();
    for _ in 0..crate::platform::mutant::MANY {
        open.push(world.attach(&session, Some(OLD)).await.expect("attached"));
    }
    let late = tokio::time::timeout(Duration::from_millis(500), world.attach(&session, Some(OLD))).await;
    assert!(late.is_err(), "it waits");
    open.pop();
    open.push(world.attach(&session, Some(OLD)).await.expect("attached"));
    drop(open);
    world.cluster.stop().await;
}
