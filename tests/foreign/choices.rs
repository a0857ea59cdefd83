//! What a platform of another make does in its own way, and what its profile says of it.

use super::{Bench, PROFILE, bad};
use crate::binary::tls_door::TlsDoor;
use crate::binary::{Ran, gauntlet};

/// A session whose id no journal knows is found by its title. Where there are sessions and no titles nobody can tell
/// whether it is left, and nothing is said to be put back.
#[test]
fn where_no_titles_are_told_nothing_is_put_back_by_guess() {
    let bench = Bench::up();
    let journal = bench.killed(&["--allow", "use", "harness-token/token/accept[direct]"], "session");
    let text = std::fs::read_to_string(&journal).expect("text");
    let begun = text.lines().filter(|line| !line.contains("\"change\":\"session\""));
    std::fs::write(&journal, begun.map(|line| format!("{line}\n")).collect::<String>()).expect("written");
    bench.ops(&["defects", "untitled"]);
    let recovered = bench.recover().exits(3);
    assert!(
        recovered
            .stderr
            .contains("the session API tells no titles, and lists 1")
            && recovered.stderr.contains("a session with `gauntlet run-"),
        "{}",
        recovered.stderr
    );
    assert!(!recovered.stdout.contains("put back"), "{}", recovered.stdout);
    assert_eq!(bench.journals(), [journal]);
    bench.ops(&["defects"]);
    let recovered = bench.recover().exits(0);
    assert!(
        recovered.stdout.ends_with(": put back; 1 session is deleted\n"),
        "{}",
        recovered.stdout
    );
    assert!(!bench.ops(&["pods"]).contains("session"), "no session is left");
}

/// Sessions are made with the first agent that has a terminal, or with the one that the profile names.
#[test]
fn the_agent_is_one_with_a_terminal() {
    let bench = Bench::up();
    let accept = ["--allow", "use", "harness-token/token/accept[direct]"];
    bench.run(&accept).exits(0);
    let report = bench.report().to_string();
    assert!(report.contains("make a session with the agent line"), "{report}");
    bench
        .run(&[&accept[..], &["--set", "session.agent=line"]].concat())
        .exits(0);
    for (agent, said) in [
        // It has no terminal, and its sessions say so.
        ("batch", "make a session with the agent batch"),
        (
            "nobody",
            "the platform has no agent `nobody` (`session.agent` in the profile), only batch, line",
        ),
    ] {
        let setting = format!("session.agent={agent}");
        let ran = bench.run(
            &[
                &accept[..],
                &["--set", setting.as_str(), "harness-token/token/accept[proxy]"],
            ]
            .concat(),
        );
        assert_ne!(ran.code, Some(0), "{agent}");
        let report = bench.report().to_string();
        assert!(report.contains(said), "{agent}: {report}");
    }
}

/// A choice that a contract leaves open is judged as the profile declares it, whatever it is.
#[test]
fn what_is_declared_is_judged() {
    let bench = Bench::up();
    let run = |setting: &str, scenarios: &[&str]| {
        let of = ["--allow", "attack", "--level", "all", "--set", setting];
        let ran = bench.run(&[&of[..], scenarios].concat());
        (
            ran.code,
            bad(bench.report()["scenarios"].as_array().expect("scenarios")),
        )
    };
    let right = (Some(0), Vec::new());

    let header = ["harness-token/alb/header", "!harness-token/alb/header/spelling"];
    assert_eq!(run("balancer.strips-authorization=yes", &header), right);
    let (code, seen) = run("balancer.strips-authorization=no", &header);
    assert_eq!(code, Some(1), "it strips, and is declared not to: {seen:#?}");
    bench.ops(&["defects", "keeps-authorization"]);
    assert_eq!(run("balancer.strips-authorization=no", &header), right);

    let heads = ["harness-token/hardening/half-open[direct]"];
    assert_eq!(run("request.head-timeout=3s", &heads), right);
    bench.ops(&["head-within", "60"]);
    let (code, seen) = run("request.head-timeout=3s", &heads);
    assert_eq!(code, Some(1), "it waits a minute: {seen:#?}");

    let encoding = ["harness-token/hardening/encoding[direct]"];
    bench.ops(&["plus", "space"]);
    assert_eq!(run("token.plus=space", &encoding), right);
    let (code, seen) = run("token.plus=literal", &encoding);
    assert_eq!(code, Some(1), "a plus is a space to it: {seen:#?}");

    let idle = ["harness-token/alb/idle"];
    let (code, seen) = run("balancer.idle-timeout=300ms", &idle);
    assert_eq!(code, Some(1), "it cuts nobody: {seen:#?}");
    bench.ops(&["idle", "0.8"]);
    assert_eq!(run("balancer.idle-timeout=800ms", &idle), right);
    let (code, seen) = run("balancer.idle-timeout=61m", &idle);
    assert_eq!(code, Some(4), "{seen:#?}");
    assert!(
        seen[0].ends_with("and there that is 61m (policy balancer.idle-timeout)\""),
        "{seen:#?}"
    );

    let open = ["agent-service/ws/open/role[builtin]"];
    assert_eq!(run("ws.open=kept", &open), right);
    let (code, seen) = run("ws.open=closed", &open);
    assert_eq!(code, Some(1), "it keeps them: {seen:#?}");

    let leeway = [
        "agent-service/jwt/leeway[service]",
        "agent-service/hardening/expiry/leeway[service]",
        "agent-service/hardening/registered[service]",
    ];
    let (code, seen) = run("jwt.leeway=2m", &leeway);
    assert_eq!(code, Some(1), "it has half a minute: {seen:#?}");
    let (code, seen) = run("jwt.leeway=none", &leeway);
    assert_eq!(code, Some(1), "it has half a minute: {seen:#?}");
    for (seconds, declared) in [("120", "jwt.leeway=2m"), ("0", "jwt.leeway=none")] {
        bench.ops(&["leeway", seconds]);
        assert_eq!(run(declared, &leeway), right, "{declared}");
    }
}

/// With a secret that isn't the platform's no scenario accuses it: that is asked before the run, and said once.
#[test]
fn wrong_secrets_are_told_before_the_run() {
    let bench = Bench::up();
    let given = "secrets: { token: { env: T }, master-key: { env: K }, jwt-secret: { env: J } }\n";
    std::fs::write(bench.folder.path().join("p.yaml"), format!("{PROFILE}{given}")).expect("written");
    let secrets = bench.secrets();
    let secret = |key: &str| {
        let line = secrets.iter().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.expect("it is there").to_owned()
    };
    let right = [
        ("T", secret("HARNESS_AUTH_TOKEN")),
        ("K", secret("MASTER_KEY")),
        ("J", secret("AUTH_JWT_SECRET")),
    ];
    let run = |wrong: Option<(&str, &str)>| {
        let flags = bench.flags();
        let of = [
            "--allow",
            "use",
            "harness-token/token/accept[direct]",
            "agent-service/jwt/none[service]",
        ];
        let all: Vec<&str> = flags.iter().map(String::as_str).chain(of).collect();
        let mut command = bench.command(gauntlet(), &all);
        command.envs(right.clone()).envs(wrong);
        Ran::of(command.output().expect("gauntlet runs"))
    };
    run(None).exits(0);
    let other = "0123456789abcdef".repeat(4);
    for (wrong, said) in [
        (
            ("T", other.as_str()),
            "the token from the variable T isn't the platform's: a new session's terminal refuses it through the proxy and \
             opens with its `tty_token`; correct `secrets` in the profile",
        ),
        (
            ("T", "short-token"),
            "the token has 11 characters, and 16 are needed at least",
        ),
        (
            ("K", other.as_str()),
            "the master-key from the variable K isn't the platform's: the session API answered 401 to GET \
             /api/v1/managed_agents/agents; correct `secrets` in the profile",
        ),
        (
            ("J", other.as_str()),
            "the jwt-secret from the variable J isn't the platform's: a token signed with it gets 401 to GET /api/agents \
             straight to the agent service and as access control is asked and through the built-in gateway; correct \
             `secrets` in the profile",
        ),
    ] {
        let ran = run(Some(wrong)).exits(3);
        assert!(ran.stderr.starts_with(&format!("gauntlet: {said}")), "{}", ran.stderr);
        assert!(ran.stderr.ends_with("\ngauntlet: nothing was run\n"), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 2, "{}", ran.stderr);
    }
    assert!(bench.journals().is_empty());
    assert!(!bench.ops(&["pods"]).contains("session"), "no session is left");
}

/// A platform whose terminals take their token in another parameter is judged as any other, if the profile names it.
#[test]
fn the_query_parameter_of_the_token_has_another_name() {
    let bench = Bench::up();
    bench.ops(&["parameter", "key"]);
    let rules = [
        "harness-token/token",
        "harness-token/alb",
        "harness-token/hardening/token-values",
        "harness-token/hardening/duplicates",
        "harness-token/hardening/places",
        "harness-token/leak/log",
    ];
    let run = |rules: &[&str]| {
        let flags = ["--allow", "attack", "--level", "all", "--set", "tty.parameter=key"];
        bench.run(&[&flags[..], rules].concat())
    };
    let wrong = |ran: &Ran| {
        let report = bench.report();
        let results = report["scenarios"].as_array().expect("scenarios");
        let failed = results.iter().filter(|result| result["verdict"] != "skip");
        format!("{:#?}\n{}", bad(failed), ran.stderr)
    };
    let ran = run(&rules);
    assert_eq!(ran.code, Some(0), "{}", wrong(&ran));
    for (defect, rule) in [
        ("token-prefix", "harness-token/token/near-misses"),
        ("access-log-query", "harness-token/leak/log/refused"),
    ] {
        bench.ops(&["defects", defect]);
        let ran = run(&[rule]);
        assert_eq!(ran.code, Some(1), "{defect}: {}", wrong(&ran));
    }
}

/// A parameter that isn't the platform's is the profile's fault: no scenario accuses the platform.
#[test]
fn a_wrong_query_parameter_is_told_before_the_run() {
    let bench = Bench::up();
    let accept = ["--allow", "use", "harness-token/token/accept"];
    let ran = bench
        .run(&[&accept[..], &["--set", "tty.parameter=secret"]].concat())
        .exits(3);
    assert_eq!(
        ran.stderr,
        "gauntlet: the platform's terminals take their token in the query parameter `token`, and not in `secret`: a \
         new session's `tty_token` opens its terminal through the proxy in that one alone; correct `tty.parameter` in \
         the profile\ngauntlet: nothing was run\n"
    );
    bench.ops(&["parameter", "key"]);
    let ran = bench
        .run(&[&accept[..], &["--set", "tty.parameter=secret"]].concat())
        .exits(3);
    assert!(
        ran.stderr.contains("in the query parameter `key`, and not in `secret`"),
        "{}",
        ran.stderr
    );
    assert!(bench.journals().is_empty());
    assert!(!bench.ops(&["pods"]).contains("session"), "no session is left");
}

/// The same of the parameter that conversations take their token in.
#[test]
fn the_query_parameter_of_conversations_has_another_name() {
    let bench = Bench::up();
    let rules = [
        "agent-service/ws",
        "agent-service/rest",
        "agent-service/leak/log",
        "agent-service/headers/trusted/upgrades",
        "agent-service/hardening/places",
        "agent-service/hardening/handshakes",
        "!agent-service/ws/open/secret",
    ];
    let run = |parameter: &str| {
        let setting = format!("agents.parameter={parameter}");
        let flags = ["--allow", "attack", "--level", "all", "--set", setting.as_str()];
        bench.run(&[&flags[..], &rules].concat())
    };
    let ran = run("jwt").exits(3);
    let (_, told) = ran
        .stderr
        .split_once("make sure that there is none\n")
        .expect("the warning");
    assert_eq!(
        told,
        "gauntlet: the platform takes the token of conversations in the query parameter `access-token`, and not in `jwt`: \
         as access control is asked, a good one gets another answer than 401 in that one alone; correct \
         `agents.parameter` in the profile\ngauntlet: nothing was run\n"
    );
    bench.ops(&["jwt-parameter", "jwt"]);
    let ran = run("jwt");
    let report = bench.report();
    let results = report["scenarios"].as_array().expect("scenarios");
    let failed = results.iter().filter(|result| result["verdict"] != "skip");
    assert_eq!(ran.code, Some(0), "{:#?}\n{}", bad(failed), ran.stderr);
}

/// What is known of a balancer with a door over TLS goes through that door; the plain one is asked only whether it
/// opens.
#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_whose_plain_door_refuses() {
    let bench = Bench::up();
    let forwards = bench.doors["balancer"].clone();
    let tls = TlsDoor::before(forwards.trim_start_matches("http://")).await;
    std::fs::write(bench.folder.path().join("ca.pem"), &tls.pem).expect("written");
    let refuses = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let plain = format!("http://{}", refuses.local_addr().expect("its address"));
    tokio::spawn(async move {
        while let Ok((connection, _)) = refuses.accept().await {
            drop(connection);
        }
    });
    let over_tls = format!("https://{}", tls.address);
    let run = |balancer: &str| {
        let plain = format!("road.balancer={balancer}");
        let tls = format!("road.balancer-tls={over_tls}");
        let of = [
            "--allow",
            "use",
            "--level",
            "all",
            "--ca",
            "ca.pem",
            "--set",
            plain.as_str(),
            "--set",
            tls.as_str(),
            "harness-token/token/accept[balancer]",
            "harness-token/alb/header",
            "!harness-token/alb/header/spelling",
            "harness-token/alb/tls",
        ];
        let ran = bench.run(&of);
        (
            ran.code,
            bad(bench.report()["scenarios"].as_array().expect("scenarios")),
        )
    };
    assert_eq!(run(&plain), (Some(0), Vec::new()));
    let (code, seen) = run(&forwards);
    assert_eq!(code, Some(1), "{seen:#?}");
    assert!(
        seen.len() == 1 && seen[0].starts_with(r#""fail" "harness-token/alb/tls/plain""#),
        "{seen:#?}"
    );
    // Of a balancer of which nothing else is known there is no plain door to ask.
    let (code, seen) = run(&over_tls);
    assert_eq!(code, Some(0), "{seen:#?}");
    assert!(
        seen.len() == 1 && seen[0].contains("there is no road to the balancer's door without TLS"),
        "{seen:#?}"
    );
}
