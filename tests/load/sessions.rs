//! Loads through sessions, which are made for them and deleted after them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::{ran, result};
use crate::binary::{Running, files_below, folder, gauntlet, gauntlet_with_signals, run_in, until};

/// A key that no platform has by chance, and the environment's variable that holds it.
pub const KEY: &str = "3b9d4c1f0a7e4f6c8d2e5a7b9c0d1e2f";
pub const VARIABLE: &str = "API_KEY";

/// A platform in a process of its own.
struct Up {
    running: Running,
    folder: tempfile::TempDir,
    /// It ends when this is closed.
    held: ChildStdin,
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
            running,
            folder,
            held,
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
pub fn load(folder: &Path, address: &str, arguments: &[&str]) -> Command {
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder)
        .env(VARIABLE, KEY)
        .args(["load", "--api", &format!("http://{address}"), "--api-key-env", VARIABLE])
        .args(["--out", "result.json"])
        .args(arguments);
    command
}

pub fn count(result: &Value, metric: &str) -> u64 {
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
        "--objective",
        "session-first-byte.max < 60s",
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
        for (metric, samples) in [
            ("session-create", 5),
            ("session-ready", 5),
            ("session-first-byte", 5),
            ("attach", 10),
        ] {
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
        assert_eq!(count(&result, "session-first-byte"), 3, "{result}");
        let median = |metric: &str| result["latencies"][metric]["p50"].as_f64().expect("milliseconds");
        assert!(median("session-first-byte") >= median("session-ready"), "{result}");
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

/// Whoever started a platform for itself may end however it likes: nothing is left.
#[test]
fn a_held_platform_ends_with_its_holder() {
    let Up {
        mut running,
        folder,
        held,
        ..
    } = Up::start();
    drop(held);
    assert_eq!(running.ends().code(), Some(0), "{}", running.stderr());
    assert_eq!(running.stderr(), "");
    assert!(files_below(folder.path()).is_empty(), "it left files");
    let ran = run_in(folder.path(), &["up", "--held"]).exits(2);
    assert_eq!(ran.stderr, "gauntlet: --held: standard input has no key\n");
}
