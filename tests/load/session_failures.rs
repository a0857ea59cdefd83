//! Loads through sessions that fail, and what is asked wrongly of them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::sessions::{KEY, VARIABLE, count, load};
use super::{ran, result};
use crate::binary::{folder, gauntlet};

/// A session API that gives these answers to requests; a session's id is its number.
fn api(answer: impl Fn(&str, u32) -> (u16, Value) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let (answer, made) = (Arc::new(answer), Arc::new(AtomicU32::new(0)));
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            let (answer, made) = (answer.clone(), made.clone());
            std::thread::spawn(move || {
                let asked = request(&mut connection);
                let line = asked.lines().next().unwrap_or_default();
                let number = match line.starts_with("POST ") {
                    true => made.fetch_add(1, Ordering::SeqCst),
                    false => 0,
                };
                let (status, body) = answer(&asked, number);
                let body = body.to_string();
                let _sent = write!(
                    connection,
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                     Connection: close\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    address
}

/// A request with its body, or what came of it.
fn request(connection: &mut TcpStream) -> String {
    let is_whole = |asked: &str| {
        let Some((head, body)) = asked.split_once("\r\n\r\n") else {
            return false;
        };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.and_then(|length| length.parse::<usize>().ok()).unwrap_or(0)
    };
    let mut asked = String::new();
    let mut buffer = [0; 4096];
    while !is_whole(&asked) {
        match connection.read(&mut buffer) {
            Ok(read @ 1..) => asked.push_str(&String::from_utf8_lossy(&buffer[..read])),
            _ => break,
        }
    }
    asked
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
    let arguments = ["--sessions", "3", "--attaches-per-session", "2", "--deadline", "2s"];
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
        "gauntlet: 1 session may be left: a call for each failed, and none was found with the title gauntlet-load-"
            .to_owned(),
        format!(
            "; this lists all: curl -H \"Authorization: Bearer ${VARIABLE}\" \
             {api}/sessions\n"
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

/// A call that failed may have made its session, and may make it later: that others are listed proves nothing.
#[test]
fn sessions_of_failed_calls_are_looked_for_until_all_are_found() {
    let state = Arc::new(Mutex::new((String::new(), 0, Vec::new())));
    let shared = state.clone();
    let address = api(move |asked, number| {
        let line = asked.lines().next().unwrap_or_default();
        let mut state = shared.lock().expect("the state");
        let (title, lists, deleted) = &mut *state;
        if line.starts_with("GET /api/v1/managed_agents/agents ") {
            return (200, json!({ "data": [{ "id": "first" }] }));
        }
        if line.starts_with("POST ") {
            let body = asked.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let body: Value = serde_json::from_str(body).expect("JSON");
            body["title"].as_str().expect("a title").clone_into(title);
            return match number {
                0 | 1 => (504, json!({ "error": "too slow" })),
                _ => (200, json!({ "id": "known", "status": "failed" })),
            };
        }
        if line.starts_with("GET /api/v1/managed_agents/sessions?") {
            *lists += 1;
            let there: &[&str] = match *lists {
                1 => &["known"],
                2 => &["known", "late-1"],
                _ => &["known", "late-1", "late-2"],
            };
            let list: Vec<Value> = there.iter().map(|id| json!({ "id": id, "title": *title })).collect();
            return (200, json!(list));
        }
        if let Some(rest) = line.strip_prefix("DELETE /api/v1/managed_agents/sessions/") {
            deleted.push(rest.split(' ').next().unwrap_or_default().to_owned());
        }
        (200, json!({}))
    });
    let folder = folder();
    let ran = ran(load(folder.path(), &address, &["--sessions", "3"])).exits(1);
    let mut state = state.lock().expect("the state");
    state.2.sort_unstable();
    assert_eq!(
        (state.1, &state.2[..]),
        (3, &["known", "late-1", "late-2"].map(str::to_owned)[..])
    );
    assert!(!ran.stderr.contains("may be left"), "{}", ran.stderr);
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let folder = folder();
    let without_agent = api(|_, _| (200, json!({ "data": [] })));
    let there = format!("http://{without_agent}");
    let api = ["--sessions", "2", "--api-key-env", VARIABLE, "--api"];
    let of_api = |rest: &[&'static str]| -> Vec<&'static str> { [&api[..], rest].concat() };
    let cases: [(Vec<&str>, &str); 12] = [
        (vec!["--road", "proxy"], "--road requires --sessions"),
        (vec!["--agent", "a"], "--agent requires --sessions"),
        (vec!["--sessions", "2", "--agent", "a"], "--agent requires --api"),
        (vec!["--sessions", "2", "--insecure"], "--insecure requires --api"),
        (
            vec!["--sessions", "2", "--api", "http://127.0.0.1:1"],
            "--api requires --api-key-env: the name of the variable that holds the session API's key",
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
