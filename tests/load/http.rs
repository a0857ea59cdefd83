//! The HTTP side of a load: its counts against the server's own, and doors that don't hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use rustix::process::Signal;
use serde_json::Value;

use super::result;
use super::workers::children;
use crate::binary::{Ran, Running, folder, gauntlet_with_signals, until};
use crate::up::Up;

const KEY: &str = "sk-5f0c1b7e4a9d4e0db7f0a1c2d3e4f506";
const GOOD: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJnb29kIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const INACTIVE: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJpZGxlIn0.aBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// How the server is wrong, if it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    /// It looks at no signature.
    BadJwtOpens,
    /// It refuses an INACTIVE user as if nobody was there.
    InactiveIs401,
}

/// A session API and an agent service in one, which count.
struct Server {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// By method, path and status.
    answers: BTreeMap<(String, u16), u64>,
    /// Tokens for models that are none of the known ones.
    strange: BTreeSet<String>,
    sessions: BTreeSet<String>,
    made: u64,
}

impl Server {
    fn start(defect: Defect) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = shared.clone();
                std::thread::spawn(move || serve(stream, defect, &seen));
            }
        });
        Server { port, seen }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn answered(&self, what: &str, status: u16) -> u64 {
        let seen = self.seen.lock().expect("not poisoned");
        seen.answers
            .get(&(what.to_owned(), status))
            .copied()
            .unwrap_or_default()
    }
}

/// Answers the requests of a connection, one after the other.
fn serve(stream: TcpStream, defect: Defect, seen: &Mutex<Seen>) {
    let mut writer = stream.try_clone().expect("cloned");
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(1..) if line == "\r\n" => break,
                Ok(1..) => head.push(line.trim_end().to_owned()),
                _ => return,
            }
        }
        let field = |name: &str| {
            head.iter().skip(1).find_map(|line| {
                let (given, value) = line.split_once(':')?;
                given.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = field("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let mut words = head[0].split(' ');
        let (method, target) = (words.next().expect("a method"), words.next().expect("a target"));
        let token = field("authorization").and_then(|value| Some(value.strip_prefix("Bearer ")?.to_owned()));
        let path = target.split('?').next().expect("a path");
        let (what, status, text) = answer(method, path, token.as_deref(), defect, seen);
        let counted = (what, status);
        *seen.lock().expect("not poisoned").answers.entry(counted).or_default() += 1;
        let answer = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// What was asked for, by its kind, with status and body.
fn answer(method: &str, path: &str, token: Option<&str>, defect: Defect, seen: &Mutex<Seen>) -> (String, u16, String) {
    if let "/api/agents/models" | "/api/agents" = path {
        let what = if path == "/api/agents" { "agent-list" } else { "models" };
        let status = match token {
            Some(GOOD) => 200,
            Some(INACTIVE) if defect == Defect::InactiveIs401 => 401,
            Some(INACTIVE) => 403,
            Some(strange) => {
                let mut seen = seen.lock().expect("not poisoned");
                seen.strange.insert(strange.to_owned());
                match defect {
                    Defect::BadJwtOpens => 200,
                    _ => 401,
                }
            }
            None => 401,
        };
        return (what.into(), status, r#"{"object":"list","data":[]}"#.into());
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let ["api", "v1", "managed_agents", rest @ ..] = parts.as_slice() else {
        return (path.to_owned(), 404, "{}".into());
    };
    let mut seen = seen.lock().expect("not poisoned");
    let (what, body) = match (method, rest) {
        ("GET", ["agents"]) => ("agents", r#"{"data":[{"id":"agent-1"}],"total":1}"#.to_owned()),
        ("GET", ["sessions"]) => ("sessions", "[]".to_owned()),
        ("POST", ["agents", "agent-1", "session"]) => {
            let id = format!("session-{}", seen.made);
            seen.made += 1;
            seen.sessions.insert(id.clone());
            ("create", format!(r#"{{"id":"{id}","status":"creating"}}"#))
        }
        ("GET", ["sessions", id]) => ("get", format!(r#"{{"id":"{id}","status":"ready"}}"#)),
        ("POST", ["sessions", id, "restart"]) => ("restart", format!(r#"{{"id":"{id}","status":"ready"}}"#)),
        ("DELETE", ["sessions", id]) => {
            seen.sessions.remove(*id);
            ("delete", format!(r#"{{"id":"{id}","status":"deleted"}}"#))
        }
        _ => return (path.to_owned(), 404, "{}".into()),
    };
    match token {
        Some(KEY) => (what.into(), 200, body),
        _ => (what.into(), 401, r#"{"error":"Unauthorized"}"#.into()),
    }
}

/// A small load of the reference platform, with this server for its HTTP side.
fn load(folder: &Path, server: &Server, arguments: &[&str]) -> Command {
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder)
        .env("THE_KEY", KEY)
        .env("THE_JWT", GOOD)
        .env("IDLE_JWT", INACTIVE)
        .args(["load", "-n", "10", "--out", "result.json", "--http-users", "5"])
        .args(["--http-api", &server.url(), "--http-key-env", "THE_KEY"])
        .args(["--http-models", &server.url(), "--http-jwt-env", "THE_JWT"])
        .args(["--http-inactive-jwt-env", "IDLE_JWT"])
        .args(arguments);
    command
}

/// Looks that no secret of the HTTP side stands in a text.
#[track_caller]
fn tells_no_secret(server: &Server, text: &str) {
    for secret in [KEY, GOOD, INACTIVE] {
        assert!(!text.contains(secret), "a secret is told: {text}");
    }
    for bad in &server.seen.lock().expect("not poisoned").strange {
        assert!(!text.contains(bad.as_str()), "the bad JWT is told: {text}");
    }
}

fn ran(server: &Server, mut command: Command) -> Ran {
    let ran = Ran::of(command.output().expect("gauntlet starts"));
    tells_no_secret(server, &ran.stdout);
    tells_no_secret(server, &ran.stderr);
    ran
}

/// The HTTP side of the result, whose counts add up.
fn side(folder: &Path, server: &Server) -> Value {
    let side = result(folder)["http"].clone();
    tells_no_secret(server, &side.to_string());
    for (name, requests) in side["requests"].as_object().expect("requests") {
        let count = |of: &str| requests[of].as_u64().expect(of);
        assert_eq!(
            count("count"),
            count("right") + count("opened") + count("unexpected") + count("failed"),
            "{name}: {requests}"
        );
    }
    side
}

#[test]
fn its_counts_are_those_of_the_server() {
    let folder = folder();
    let server = Server::start(Defect::None);
    let arguments = ["--hold", "3s", "--report", "markdown", "--report", "html"];
    let ran = ran(&server, load(folder.path(), &server, &arguments)).exits(0);
    assert!(
        ran.stdout.contains("HTTP side (closed model): 5 users for "),
        "{}",
        ran.stdout
    );
    for report in ["load.md", "load.html"] {
        let text = std::fs::read_to_string(folder.path().join(report)).expect("a report");
        assert!(text.contains("HTTP side (closed model)"), "{report}: {text}");
        tells_no_secret(&server, &text);
    }
    let side = side(folder.path(), &server);
    assert_eq!(
        (side["model"].as_str(), side["users"].as_u64()),
        (Some("closed"), Some(5))
    );
    let right = |name: &str| side["requests"][name]["right"].as_u64().expect(name);
    for name in [
        "agents",
        "sessions",
        "session-create",
        "session-get",
        "session-ready",
        "session-restart",
        "session-delete",
        "agents-without-key",
        "models",
        "models-bad-jwt",
        "models-without-jwt",
        "models-inactive-jwt",
        "agent-list",
        "agent-list-bad-jwt",
        "agent-list-without-jwt",
        "agent-list-inactive-jwt",
    ] {
        let requests = &side["requests"][name];
        assert!(right(name) >= 1, "{name}: {requests}");
        assert_eq!(right(name), requests["count"].as_u64().expect("a count"), "{name}");
        assert_eq!(requests["latency"]["count"], requests["count"], "{name}");
    }
    assert_eq!(right("agents"), server.answered("agents", 200));
    assert_eq!(right("agents-without-key"), server.answered("agents", 401));
    assert_eq!(right("sessions"), server.answered("sessions", 200));
    assert_eq!(right("session-create"), server.answered("create", 200));
    assert_eq!(right("session-get"), server.answered("get", 200));
    assert_eq!(right("session-restart"), server.answered("restart", 200));
    assert_eq!(right("session-delete"), server.answered("delete", 200));
    assert_eq!(right("models"), server.answered("models", 200));
    assert_eq!(
        right("models-bad-jwt") + right("models-without-jwt"),
        server.answered("models", 401)
    );
    assert_eq!(right("models-inactive-jwt"), server.answered("models", 403));
    assert_eq!(right("agent-list"), server.answered("agent-list", 200));
    assert_eq!(
        right("agent-list-bad-jwt") + right("agent-list-without-jwt"),
        server.answered("agent-list", 401)
    );
    assert_eq!(right("agent-list-inactive-jwt"), server.answered("agent-list", 403));
    assert_eq!(
        side["requests"]["models-bad-jwt"]["statuses"]["401"],
        right("models-bad-jwt")
    );
    let seen = server.seen.lock().expect("not poisoned");
    assert!(seen.sessions.is_empty(), "{:?}", seen.sessions);
    // One bad JWT, of the good one, with another signature.
    assert_eq!(seen.strange.len(), 1, "{:?}", seen.strange);
    let bad = seen.strange.first().expect("one");
    assert_eq!(
        bad.rsplit_once('.').expect("a JWT").0,
        GOOD.rsplit_once('.').expect("a JWT").0
    );
}

#[test]
fn a_shut_door_that_opens_fails_the_load() {
    let folder = folder();
    let server = Server::start(Defect::BadJwtOpens);
    let arguments = ["--hold", "2s", "--objective", "opened >= 1"];
    let ran = ran(&server, load(folder.path(), &server, &arguments)).exits(1);
    for part in [
        "HTTP side: a shut door opened ",
        "GET /api/agents/models with a JWT with a wrong signature, answered with 200: a shut door opened",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let side = side(folder.path(), &server);
    let bad = &side["requests"]["models-bad-jwt"];
    assert!(bad["opened"].as_u64() >= Some(1), "{bad}");
    assert_eq!(bad["opened"], bad["count"]);
}

#[test]
fn another_status_is_an_error_of_the_platform() {
    let folder = folder();
    let server = Server::start(Defect::InactiveIs401);
    let ran = ran(&server, load(folder.path(), &server, &["--hold", "2s"])).exits(1);
    assert!(
        ran.stdout.contains(" had another status than is right"),
        "{}",
        ran.stdout
    );
    let side = side(folder.path(), &server);
    let inactive = &side["requests"]["models-inactive-jwt"];
    assert_eq!(inactive["unexpected"], inactive["count"]);
    assert_eq!(inactive["statuses"]["401"], inactive["count"]);
    assert_eq!(inactive["opened"].as_u64(), Some(0));
}

/// The process of the HTTP side.
fn worker(of: u32) -> Option<i32> {
    children(of).into_iter().find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("load-http-worker")
    })
}

/// Starts a long load, and waits until sessions are made.
fn running(folder: &Path, server: &Server, hold: &str) -> Running {
    let running = Running::start(&mut load(folder, server, &["--hold", hold])).expect("gauntlet starts");
    until("sessions are made", || match server.answered("create", 200) {
        0 => Err(running.stdout() + &running.stderr()),
        _ => Ok(()),
    });
    running
}

#[test]
fn a_lost_worker_is_no_pass() {
    let folder = folder();
    let server = Server::start(Defect::None);
    let mut running = running(folder.path(), &server, "6s");
    let pid = worker(running.child.id()).expect("a worker");
    let killed = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(killed, Signal::KILL).expect("killed");
    assert_eq!(running.ends().code(), Some(3), "{}", running.stderr());
    let reason = format!("HTTP side: its worker (process {pid}) was lost: it has ended");
    assert!(running.stdout().contains(&reason), "{}", running.stdout());
    tells_no_secret(&server, &(running.stdout() + &running.stderr()));
    let result = result(folder.path());
    assert_eq!(result["verdict"], "error");
    assert_eq!(result["counts"]["opened"].as_u64(), Some(10));
}

/// An interrupted load deletes the sessions that it made, and its worker is gone.
#[test]
fn an_interrupted_load_leaves_no_session() {
    let folder = folder();
    let server = Server::start(Defect::None);
    let mut running = running(folder.path(), &server, "30s");
    let pid = worker(running.child.id()).expect("a worker");
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    let side = side(folder.path(), &server);
    assert_eq!(side["left"].as_array().map(Vec::len), Some(0), "{side}");
    let left = server.seen.lock().expect("not poisoned").sessions.clone();
    assert!(left.is_empty(), "{left:?}");
    until("the worker is gone", || {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        match String::from_utf8_lossy(&line).contains("load-http-worker") {
            true => Err(pid.to_string()),
            false => Ok(()),
        }
    });
}

#[test]
fn what_has_no_meaning_is_refused() {
    let folder = folder();
    let server = Server::start(Defect::None);
    let url = server.url();
    let models: [&str; 4] = ["--http-users", "5", "--http-models", &url];
    for (arguments, why) in [
        (
            vec!["--http-users", "5"],
            "--http-users requires --http-api, --http-models or --http-gateway",
        ),
        (vec!["--http-key-env", "THE_KEY"], "--http-api"),
        (models.to_vec(), "--http-jwt-env"),
        (
            [&models[..], &["--http-jwt-env", "NOT_SET"]].concat(),
            "NOT_SET is not set",
        ),
        (
            [&models[..], &["--http-jwt-env", "THE_KEY"]].concat(),
            "THE_KEY doesn't hold a JWT",
        ),
    ] {
        let mut command = gauntlet_with_signals();
        command
            .current_dir(folder.path())
            .env("THE_KEY", KEY)
            .args(["load", "-n", "10"])
            .args(&arguments);
        let ran = ran(&server, command).exits(2);
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
    }
    assert!(server.seen.lock().expect("not poisoned").answers.is_empty());
}

/// The reference platform itself: its sessions become ready and are deleted, and it stays shut without the key.
#[tokio::test]
async fn the_session_api_of_the_reference_platform_holds() {
    let up = Up::start();
    let secrets: Api<Secret> = Api::default_namespaced(up.client().await);
    let data = secrets.get("litellm-env").await.expect("there").data.expect("data");
    let key = String::from_utf8(data["MASTER_KEY"].0.clone()).expect("text");
    let web = format!("http://{}", up.address("web "));
    let load = |folder: &Path| {
        let mut command = gauntlet_with_signals();
        command
            .current_dir(folder)
            .env("THE_KEY", &key)
            .args(["load", "-n", "10", "--hold", "4s", "--out", "result.json"])
            .args(["--http-users", "2", "--http-api", &web, "--http-key-env", "THE_KEY"]);
        let ran = Ran::of(command.output().expect("gauntlet starts"));
        assert!(
            !ran.stdout.contains(&key) && !ran.stderr.contains(&key),
            "the key is told"
        );
        ran
    };

    let with = folder();
    load(with.path()).exits(0);
    let side = result(with.path())["http"].clone();
    for name in [
        "agents",
        "sessions",
        "session-ready",
        "session-restart",
        "session-delete",
        "agents-without-key",
    ] {
        let requests = &side["requests"][name];
        assert!(requests["right"].as_u64() >= Some(1), "{name}: {side}");
        assert_eq!(requests["right"], requests["count"], "{name}: {side}");
    }
    assert_eq!(side["left"].as_array().map(Vec::len), Some(0), "{side}");
}
