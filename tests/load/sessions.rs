//! Loads through sessions, which are made for them and deleted after them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{ran, result};
use crate::binary::{Running, folder, gauntlet, gauntlet_with_signals, until};

/// A key that no platform has by chance, and the environment's variable that holds it.
const KEY: &str = "3b9d4c1f0a7e4f6c8d2e5a7b9c0d1e2f";
const VARIABLE: &str = "API_KEY";

/// A platform in a process of its own.
struct Up {
    _running: Running,
    _folder: tempfile::TempDir,
    /// It ends when this is closed.
    _held: ChildStdin,
    /// Of web.
    address: String,
}

impl Up {
    fn start() -> Up {
        let folder = folder();
        let mut command = gauntlet();
        command
            .current_dir(folder.path())
            .args(["up", "--held", "--kubeconfig", "k.yaml"])
            .stdin(Stdio::piped());
        let mut running = Running::start(&mut command).expect("gauntlet starts");
        let mut held = running.child.stdin.take().expect("a pipe");
        writeln!(held, "{KEY}").expect("written");
        until("the platform is up", || {
            match running.stdout().contains("Ctrl-C ends it") {
                true => Ok(()),
                false => Err(running.stdout() + &running.stderr()),
            }
        });
        let said = running.stdout();
        let web = said
            .lines()
            .find_map(|line| line.strip_prefix("web "))
            .expect("its line");
        let address = web.trim().trim_start_matches("http://").to_owned();
        Up {
            _running: running,
            _folder: folder,
            _held: held,
            address,
        }
    }

    /// The sessions that it lists.
    fn sessions(&self) -> usize {
        let mut stream = TcpStream::connect(&self.address).expect("web listens");
        let request = format!(
            "GET /api/v1/managed_agents/sessions HTTP/1.1\r\nHost: web\r\nAuthorization: Bearer {KEY}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let listed: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        listed.as_array().expect("a list").len()
    }
}

/// `gauntlet load` through the sessions of a platform.
fn load(folder: &Path, address: &str, arguments: &[&str]) -> Command {
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder)
        .env(VARIABLE, KEY)
        .args(["load", "--api", &format!("http://{address}"), "--api-key-env", VARIABLE])
        .args(["--out", "result.json"])
        .args(arguments);
    command
}

fn count(result: &Value, metric: &str) -> u64 {
    result["latencies"][metric]["count"].as_u64().unwrap_or_default()
}

#[test]
fn sessions_are_made_and_deleted_again() {
    let (folder, up) = (folder(), Up::start());
    let arguments = [
        "--sessions",
        "5",
        "--attaches-per-session",
        "2",
        "--hold",
        "2s",
        "--echo-every",
        "50ms",
        "--objective",
        "errors == 0",
        "--objective",
        "session-ready.max < 60s",
        "--objective",
        "session-create.count >= 5",
    ];
    for workers in ["1", "2"] {
        let all = [&arguments[..], &["--workers", workers]].concat();
        let ran = ran(load(folder.path(), &up.address, &all)).exits(0);
        assert!(!ran.stdout.contains(KEY), "the key is printed");
        assert!(ran.stdout.contains("\n  session-ready "), "{}", ran.stdout);
        let result = result(folder.path());
        assert!(!result.to_string().contains(KEY), "the key is in the result");
        let counts = &result["counts"];
        assert_eq!(counts["opened"].as_u64(), Some(10), "{counts}");
        assert_eq!(counts["probesRefused"], counts["probes"], "{counts}");
        assert!(counts["probes"].as_u64() >= Some(1), "{counts}");
        for (metric, samples) in [("session-create", 5), ("session-ready", 5), ("attach", 10)] {
            assert_eq!(count(&result, metric), samples, "{metric}: {result}");
        }
        let target = format!("http://{}, 5 sessions at 20/s with 2 attaches each", up.address);
        assert_eq!(result["load"]["target"], target.as_str());
        assert_eq!(up.sessions(), 0, "{}", ran.stderr);
    }
}

/// The reference platform is started for it, and nothing of it is left.
#[test]
fn the_reference_platform_gives_sessions() {
    let folder = folder();
    let surroundings = folder.path().join("temporary");
    std::fs::create_dir(&surroundings).expect("made");
    for road in ["proxy", "balancer"] {
        let mut command = gauntlet_with_signals();
        command.current_dir(folder.path()).env("TMPDIR", &surroundings).args([
            "load",
            "--sessions",
            "3",
            "--attaches-per-session",
            "2",
            "--road",
            road,
            "--hold",
            "2s",
            "--echo-every",
            "50ms",
            "--out",
            "result.json",
        ]);
        ran(command).exits(0);
        let result = result(folder.path());
        assert_eq!(result["counts"]["opened"].as_u64(), Some(6), "{}", result["counts"]);
        assert_eq!(count(&result, "session-ready"), 3, "{result}");
        // Its kubeconfig lies there, and its command line names that.
        let ours = surroundings.display().to_string();
        until("the platform has ended", || {
            let processes = std::fs::read_dir("/proc").expect("processes").flatten();
            let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
            let mut left = lines.filter(|line| String::from_utf8_lossy(line).contains(&ours));
            match left.next() {
                Some(line) => Err(String::from_utf8_lossy(&line).into_owned()),
                None => Ok(()),
            }
        });
        let left = std::fs::read_dir(&surroundings).expect("a folder").count();
        assert_eq!(left, 0, "it left files in {ours}");
    }
}

/// Ctrl-C while terminals are held, and while sessions are being made.
#[test]
fn an_interrupted_load_leaves_no_session() {
    let up = Up::start();
    for (arguments, open) in [
        (["--sessions", "2", "--attaches-per-session", "2", "--hold", "10m"], 4),
        (["--sessions", "200", "--session-rate", "5/s", "--hold", "10m"], 0),
    ] {
        let folder = folder();
        let mut running = Running::start(&mut load(folder.path(), &up.address, &arguments)).expect("gauntlet starts");
        until("it is in the middle", || {
            let said = running.stderr();
            let is_open = open == 0 || said.contains(&format!("{open} open"));
            match up.sessions() >= 2 && is_open {
                true => Ok(()),
                false => Err(said),
            }
        });
        running.signal(Signal::INT);
        assert_eq!(
            running.ends().code(),
            Some(130),
            "{}\n{}",
            running.stdout(),
            running.stderr()
        );
        assert!(
            running.stderr().contains("gauntlet: stopped: deleting "),
            "{}",
            running.stderr()
        );
        let result = result(folder.path());
        assert_eq!(result["verdict"], "interrupted");
        assert_eq!(result["counts"]["opened"].as_u64(), Some(open));
        assert_eq!(up.sessions(), 0, "{}", running.stderr());
    }
}

#[test]
fn an_api_that_refuses_says_so() {
    let (folder, up) = (folder(), Up::start());
    let refused = |key: &str, arguments: &[&str]| {
        let mut command = load(
            folder.path(),
            &up.address,
            &[&["--sessions", "3"][..], arguments].concat(),
        );
        command.env(VARIABLE, key);
        let ran = ran(command).exits(3);
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.ends_with("gauntlet: no load was made\n"), "{}", ran.stderr);
        ran.stderr
    };
    let api = format!("http://{}/api/v1/managed_agents", up.address);
    let said = refused("another-key", &[]);
    let why = format!("gauntlet: listing the agents at {api}/agents: status 401 Unauthorized");
    assert!(said.starts_with(&why), "{said}");
    let said = refused("another-key", &["--agent", "some"]);
    let why = format!("gauntlet: asking for a session at {api}/agents/some/session: status 401 Unauthorized");
    assert!(said.starts_with(&why), "{said}");
    let said = refused(KEY, &["--agent", "some"]);
    let why = format!("gauntlet: asking for a session at {api}/agents/some/session: status 404 Not Found");
    assert!(said.starts_with(&why), "{said}");
    assert_eq!(up.sessions(), 0);
}

/// A session API that gives these answers; a session's id is its number.
fn api(answer: impl Fn(&str, u32) -> (u16, Value) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let made = AtomicU32::new(0);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            let whole = |asked: &[u8]| {
                let text = String::from_utf8_lossy(asked).to_ascii_lowercase();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
                (body.len() >= length).then_some(())
            };
            while whole(&asked).is_none() {
                match connection.read(&mut buffer) {
                    Ok(count) if count > 0 => asked.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let text = String::from_utf8_lossy(&asked).into_owned();
            let line = text.lines().next().unwrap_or_default();
            let number = match line.starts_with("POST ") {
                true => made.fetch_add(1, Ordering::SeqCst),
                false => 0,
            };
            let (status, body) = answer(line, number);
            let body = body.to_string();
            let _sent = write!(
                connection,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
                 {body}",
                body.len()
            );
        }
    });
    address
}

/// Sessions that fail fail the load, and one that can't be deleted is named with the command that does it.
#[test]
fn sessions_that_fail_are_failures_of_their_kind() {
    let folder = folder();
    let address = api(|line, number| {
        if line.starts_with("GET /api/v1/managed_agents/agents ") {
            return (200, json!({ "data": [{ "id": "first" }, { "id": "second" }] }));
        }
        if line.starts_with("POST /api/v1/managed_agents/agents/first/session ") {
            return match number {
                0 => (500, json!({ "error": "no luck" })),
                _ => (200, json!({ "id": format!("s-{number}"), "status": "creating" })),
            };
        }
        if line.starts_with("GET /api/v1/managed_agents/sessions?") {
            return (200, json!([]));
        }
        if line.starts_with("GET /api/v1/managed_agents/sessions/s-") {
            return (
                200,
                json!({ "id": "s-1", "status": "failed", "failure_reason": "no room" }),
            );
        }
        if line.starts_with("DELETE /api/v1/managed_agents/sessions/s-1 ") {
            return (503, json!({ "error": "later" }));
        }
        (200, json!({}))
    });
    let arguments = ["--sessions", "3", "--attaches-per-session", "2"];
    let ran = ran(load(folder.path(), &address, &arguments)).exits(1);
    assert!(
        ran.stdout.contains("      4  session: failed  (66.7 %)"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("      2  session: status 500  (33.3 %)"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("      | no room"), "{}", ran.stdout);
    let result = result(folder.path());
    assert_eq!(result["counts"]["failed"].as_u64(), Some(6), "{}", result["counts"]);
    assert_eq!(count(&result, "session-create"), 2);
    assert_eq!(count(&result, "session-ready"), 0);
    let api = format!("http://{address}/api/v1/managed_agents");
    let left = [
        "gauntlet: 1 sessions with the title gauntlet-load-".to_owned(),
        format!(
            " may be left by calls that failed; this lists all: curl -H \"Authorization: Bearer ${VARIABLE}\" {api}/sessions\n"
        ),
        format!(
            "gauntlet: session s-1 could not be deleted: status 503 Service Unavailable: {{\"error\":\"later\"}}; this \
             deletes it: curl -H \"Authorization: Bearer ${VARIABLE}\" -X DELETE {api}/sessions/s-1\n"
        ),
    ];
    for left in &left {
        assert!(ran.stderr.contains(left), "{left}\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("s-2 could not"), "{}", ran.stderr);
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let folder = folder();
    let without_agent = api(|_, _| (200, json!({ "data": [] })));
    let there = format!("http://{without_agent}");
    let api = ["--sessions", "2", "--api-key-env", VARIABLE, "--api"];
    let of_api = |rest: &[&'static str]| -> Vec<&'static str> { [&api[..], rest].concat() };
    let cases: [(Vec<&str>, &str); 12] = [
        (
            vec!["--road", "proxy"],
            "--road is of a load with --sessions, and there is none",
        ),
        (
            vec!["--agent", "a"],
            "--agent is of a load with --sessions, and there is none",
        ),
        (
            vec!["--sessions", "2", "--agent", "a"],
            "--agent is of a target with --api, and there is none",
        ),
        (
            vec!["--sessions", "2", "--insecure"],
            "--insecure is of a target with --api, and there is none",
        ),
        (
            vec!["--sessions", "2", "--api", "http://127.0.0.1:1"],
            "--api wants --api-key-env: the name of the variable that holds the session API's key",
        ),
        (
            vec![
                "--sessions",
                "2",
                "--api",
                "http://127.0.0.1:1",
                "--api-key-env",
                "NOT_SET",
            ],
            "NOT_SET is not set: it has to hold the session API's key",
        ),
        (
            of_api(&["http://127.0.0.1:1", "--road", "proxy"]),
            "--road is of the reference platform, and the target is one that isn't ours",
        ),
        (
            of_api(&["ws://127.0.0.1:1"]),
            "--api: not a URL with http:// or https://",
        ),
        (
            of_api(&["http://127.0.0.1:1/?a=1"]),
            "--api: a URL with a query or a fragment",
        ),
        (
            of_api(&["http://a:b@127.0.0.1:1"]),
            "--api: a URL with credentials: the key goes into a variable, named by --api-key-env",
        ),
        (
            vec!["--sessions", "1000", "--attaches-per-session", "2000"],
            "1000 sessions with 2000 attaches each: 1048576 attaches are the most",
        ),
        (
            vec!["--sessions", "2", "--api-key-env", VARIABLE, "--api", &there],
            "the platform has no agent, and sessions are made of one; none is made for it, as it could not be deleted \
             again: make one, or name one by --agent",
        ),
    ];
    let asked = |arguments: &[&str]| {
        let mut command = gauntlet();
        command
            .current_dir(folder.path())
            .env(VARIABLE, KEY)
            .arg("load")
            .args(arguments);
        let ran = ran(command).exits(2);
        assert_eq!(ran.stdout, "");
        ran.stderr
    };
    for (arguments, said) in cases {
        assert_eq!(asked(&arguments), format!("gauntlet: {said}\n"), "{arguments:?}");
    }
    for other in [["-n", "5"], ["--url", "ws://127.0.0.1:1/tty"], ["--terminal", "own"]] {
        let said = asked(&[&["--sessions", "2"][..], &other].concat());
        assert!(said.contains("cannot be used with"), "{said}");
    }
}
