//! `gauntlet load`: its counts against the door's own, its latencies against pauses that were made, and its verdicts
//! against doors that don't hold. All on loopback.

mod changes;
mod clock;
mod cluster;
mod fan_out;
mod http;
mod model;
mod scenario;
mod search;
mod servers;
mod session_failures;
mod sessions;
pub mod workers;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::binary::tls_door::TlsDoor;
use crate::binary::{Ran, Running, folder, gauntlet, gauntlet_with_signals, json, run_in, until};

/// A token that no terminal has by chance.
const TOKEN: &str = "5f0c1b7e4a9d4e0db7f0a1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f506";

/// The environment's variable that holds it.
const VARIABLE: &str = "DOOR_TOKEN";

/// A sandbox in a process of its own.
struct Door {
    process: Running,
    port: u16,
}

impl Door {
    fn open(environment: &[(&str, &str)]) -> Door {
        let mut command = gauntlet();
        command
            .args(["platform", "sandbox"])
            .env("PORT", "0")
            .env("GAUNTLET_LISTEN", "127.0.0.1")
            .env("TERMINAL", "loop")
            .env("HARNESS_AUTH_TOKEN", TOKEN)
            .envs(environment.iter().copied());
        let process = Running::start(&mut command).expect("gauntlet starts");
        let mut port = None;
        until("the sandbox listens", || {
            let said = process.stdout();
            port = said
                .lines()
                .find_map(|line| line.rsplit_once(" on port ")?.1.parse().ok());
            port.map(|_| ()).ok_or(said)
        });
        Door {
            process,
            port: port.expect("it listens"),
        }
    }

    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/tty", self.port)
    }

    /// Waits until so many are attached.
    fn has_attached(&self, wanted: usize) {
        let connections = format!(":{:04X} ", self.port);
        until("all are attached", || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
            let established = table
                .lines()
                .filter(|line| line.contains(&connections) && line.contains(" 01 "))
                .count();
            // Both ends are here.
            if established >= 2 * wanted {
                Ok(())
            } else {
                Err(established.to_string())
            }
        });
    }
}

/// `gauntlet load` of a URL, with the token in the environment.
fn load(folder: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder)
        .env(VARIABLE, TOKEN)
        .args(["load", "--url", url, "--token-env", VARIABLE, "--out", "result.json"])
        .args(arguments);
    command
}

fn ran(mut command: Command) -> Ran {
    let ran = Ran::of(command.output().expect("gauntlet starts"));
    assert!(
        !ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN),
        "the token is printed"
    );
    ran
}

fn result(folder: &Path) -> Value {
    let result = json(&folder.join("result.json"));
    assert!(!result.to_string().contains(TOKEN), "the token is in the result");
    let count = |name: &str| result["counts"][name].as_u64().expect(name);
    assert_eq!(count("attempted"), count("opened") + count("refused") + count("failed"));
    assert_eq!(
        count("probes"),
        count("probesRefused") + count("probesOpened") + count("probesOtherwise")
    );
    result
}

/// `gauntlet load` of the reference platform.
fn of_the_reference(folder: &Path, arguments: &str) -> Ran {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    run_in(folder, &[&["load", "--out", "result.json"], &arguments[..]].concat())
}

#[test]
fn the_reference_platform_holds() {
    let folder = folder();
    let ran = of_the_reference(folder.path(), "-n 100 --ramp 200/s --hold 1s --echo-every 200ms").exits(0);
    assert!(ran.stdout.contains("PASSED in "), "{}", ran.stdout);
    let result = result(folder.path());
    let counts = &result["counts"];
    assert_eq!(
        (counts["opened"].as_u64(), counts["closed"].as_u64()),
        (Some(100), Some(100))
    );
    assert_eq!(counts["echoesSent"], counts["echoesAnswered"]);
    let steady = result["steady"]["echo"]["count"]
        .as_u64()
        .expect("echoes while all are held");
    assert!((400..=600).contains(&steady), "{steady}");
    assert!(counts["probesRefused"].as_u64().expect("a count") >= 2, "{counts}");
    // The platform's own count, every attach and every probe in it.
    assert_eq!(result["platform"]["opened"].as_u64(), Some(100));
    assert_eq!(result["platform"]["refused"], counts["probesRefused"]);
    assert_eq!(result["mostOpen"].as_u64(), Some(100));
    for phase in ["attach", "connect", "upgrade", "first-output", "echo", "close", "lag"] {
        assert!(
            result["latencies"][phase]["count"].as_u64() >= Some(100),
            "{phase}: {result}"
        );
    }
}

/// A terminal of its own for each, and one for all, on which everybody sees the others' keys.
#[test]
fn echoes_are_found_on_real_terminals() {
    let folder = folder();
    for terminal in ["own", "shared"] {
        let arguments = format!("-n 20 --hold 1s --echo-every 250ms --terminal {terminal}");
        of_the_reference(folder.path(), &arguments).exits(0);
        let result = result(folder.path());
        assert!(
            result["counts"]["echoesAnswered"].as_u64() >= Some(60),
            "{terminal}: {}",
            result["counts"]
        );
    }
}

#[test]
fn a_door_that_opens_under_load_is_a_failure_with_its_evidence() {
    let folder = folder();
    let arguments = ["load", "-n", "50", "--hold", "1s", "--mutant", "empty-token-opens"];
    let objective = ["--objective", "opened >= 50", "--out", "result.json"];
    let ran = run_in(folder.path(), &[arguments.as_slice(), &objective].concat()).exits(1);
    assert!(ran.stdout.contains("\n  the door opened "), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("attach an empty token from 127.0.0.1:"),
        "{}",
        ran.stdout
    );
    let result = result(folder.path());
    assert!(
        result["counts"]["probesOpened"].as_u64() >= Some(1),
        "{}",
        result["counts"]
    );
}

/// What waits for the door waits in the figure: from when it was meant to type, not from when it could.
#[test]
fn a_pause_is_in_the_latencies() {
    let folder = folder();
    let door = Door::open(&[]);
    let arguments = ["-n", "50", "--hold", "6s", "--echo-every", "100ms"];
    let mut running = Running::start(&mut load(folder.path(), &door.url(), &arguments)).expect("gauntlet starts");
    door.has_attached(50);
    door.process.signal(Signal::STOP);
    let paused = Instant::now();
    // The pause is what is measured.
    std::thread::sleep(Duration::from_millis(2500));
    door.process.signal(Signal::CONT);
    let paused = paused.elapsed().as_secs_f64() * 1e3;
    assert_eq!(running.ends().code(), Some(0), "{}", running.stdout());
    let result = result(folder.path());
    let echo = &result["latencies"]["echo"];
    let (p99, max) = (echo["p99"].as_f64().expect("ms"), echo["max"].as_f64().expect("ms"));
    assert!(
        p99 > 0.8 * paused && max < paused + 2000.0,
        "a pause of {paused} ms: {echo}"
    );
    // Those typed meanwhile: 50 attaches, 10 a second.
    assert_eq!(result["counts"]["echoesUnanswered"].as_u64(), Some(0));
    assert!(echo["count"].as_u64() >= Some(2500), "{echo}");
}

/// The server ends in mid-run: what was open is lost, and named so.
#[test]
fn a_server_that_dies_loses_what_was_open() {
    let folder = folder();
    let mut door = Door::open(&[]);
    let mut running =
        Running::start(&mut load(folder.path(), &door.url(), &["-n", "40", "--hold", "30s"])).expect("gauntlet starts");
    door.has_attached(40);
    door.process.child.kill().expect("killed");
    // Nobody is left to hold: there is nothing to wait half a minute for.
    assert_eq!(running.ends().code(), Some(1), "{}", running.stdout());
    let result = result(folder.path());
    assert_eq!(result["counts"]["lost"].as_u64(), Some(40), "{}", result["failures"]);
    assert!(result["ended"].as_f64().expect("seconds") < 25.0, "{}", result["ended"]);
}

/// Ctrl-C gives what was measured until then.
#[test]
fn an_interrupted_load_has_a_result() {
    let folder = folder();
    let door = Door::open(&[]);
    let mut running =
        Running::start(&mut load(folder.path(), &door.url(), &["-n", "40", "--hold", "10m"])).expect("gauntlet starts");
    until("a second is told", || {
        let said = running.stderr();
        if said.contains("40 open") { Ok(()) } else { Err(said) }
    });
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stdout());
    let result = result(folder.path());
    assert_eq!(result["verdict"], "interrupted");
    assert_eq!(result["counts"]["opened"].as_u64(), Some(40));
}

/// Handshakes under way are neither opened nor failed, however long they have been.
#[test]
fn a_load_that_is_interrupted_in_its_ramp_has_a_result() {
    let folder = folder();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/tty", listener.local_addr().expect("its address"));
    let arguments = ["-n", "300", "--ramp", "40/s", "--objective", "errors == 0"];
    let mut running = Running::start(&mut load(folder.path(), &url, &arguments)).expect("gauntlet starts");
    until("seconds are told", || {
        let said = running.stderr();
        if said.contains(" open ") { Ok(()) } else { Err(said) }
    });
    running.signal(Signal::INT);
    assert_eq!(running.ends().code(), Some(130), "{}", running.stderr());
    assert_eq!(result(folder.path())["counts"]["attempted"].as_u64(), Some(0));
}

/// A load may be over before the first probe is due; each kind is tried all the same.
#[test]
fn each_way_to_come_without_the_right_token_is_tried() {
    let folder = folder();
    let door = Door::open(&[]);
    let arguments = ["-n", "3", "--hold", "50ms", "--old-token-env", "OLD"];
    let mut command = load(folder.path(), &door.url(), &arguments);
    command.env("OLD", "a-token-that-was-valid-once");
    ran(command).exits(0);
    assert_eq!(result(folder.path())["counts"]["probesRefused"].as_u64(), Some(4));
}

/// A result that can't be written is found out before the load; a pipe that nobody reads is no error.
#[test]
fn a_result_that_cannot_be_written() {
    let folder = folder();
    for file in ["/proc/x.json", "."] {
        let ran = run_in(folder.path(), &["load", "-n", "3", "--hold", "50ms", "--out", file]).exits(3);
        assert!(ran.stderr.ends_with("gauntlet: no load was made\n"), "{}", ran.stderr);
    }
}

/// What this machine lacks is none of the platform's failures.
#[test]
fn what_this_machine_lacks_is_an_error() {
    let folder = folder();
    let door = Door::open(&[]);
    // Documentation's network (RFC 5737): no address of this machine.
    for (source, said) in [
        (
            "192.0.2.1",
            "gauntlet: --source 192.0.2.1 isn't an address of this machine: ",
        ),
        (
            "::1",
            "gauntlet: --source ::1 and the target are not both of IPv4, or both of IPv6\n",
        ),
    ] {
        let arguments = ["-n", "5", "--hold", "1s", "--source", source];
        let ran = ran(load(folder.path(), &door.url(), &arguments)).exits(3);
        assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
    }
    for (arguments, of) in [
        (["load", "-n", "500"], ""),
        (["capacity", "--most", "500"], "--most 500: "),
    ] {
        let mut few = Command::new("sh");
        few.args([
            "-c",
            "ulimit -n 100; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_gauntlet"),
        ])
        .args(arguments);
        let few = ran(few).exits(3);
        assert_eq!(
            few.stderr,
            format!(
                "gauntlet: {of}500 attaches need 564 descriptors, and this process may have 100: raise the limit, as \
                 with `ulimit -n 564`, or hold fewer\ngauntlet: no load was made\n"
            )
        );
    }
}

/// Full handshakes, and resumed ones apart from them.
#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    let folder = folder();
    let door = Door::open(&[]);
    let tls = TlsDoor::before(&format!("127.0.0.1:{}", door.port)).await;
    std::fs::write(folder.path().join("ca.pem"), &tls.pem).expect("written");
    let url = format!("wss://{}/tty", tls.address);
    let arguments = ["-n", "20", "--hold", "1s", "--echo-every", "200ms"];
    for trust in [&["--ca", "ca.pem"][..], &["--insecure"]] {
        let ran = ran(load(folder.path(), &url, &[&arguments[..], trust].concat())).exits(0);
        let result = result(folder.path());
        let count = |metric: &str| result["latencies"][metric]["count"].as_u64().unwrap_or_default();
        let probes = result["counts"]["probes"].as_u64().expect("a count");
        assert_eq!(count("tls") + count("tls-resumed"), 20 + probes, "{result}");
        assert!(count("tls-resumed") > 0, "{result}");
        for (metric, counted, time) in [
            ("tls", "tlsFull", "millisecondsPerTls"),
            ("tls-resumed", "tlsResumed", "millisecondsPerTlsResumed"),
        ] {
            assert_eq!(result["counts"][counted].as_u64(), Some(count(metric)), "{result}");
            let time = result["generator"][time].as_f64().expect("processor time");
            assert!(time > 0.0 && time < 1000.0, "{result}");
        }
        let said = ran.stdout;
        assert!(
            said.contains(" ms of processor for each full TLS handshake, "),
            "{said}"
        );
    }
    let untrusted = ran(load(folder.path(), &url, &arguments)).exits(1);
    assert!(untrusted.stdout.contains("TLS: "), "{}", untrusted.stdout);
}

#[test]
fn objectives_are_judged() {
    let folder = folder();
    let door = Door::open(&[]);
    let judged = |objective: &str| {
        let ran = ran(load(
            folder.path(),
            &door.url(),
            &["-n", "50", "--hold", "1s", "--objective", objective],
        ));
        (ran.code, ran.stdout)
    };
    let (code, said) = judged("attach.p50 < 20s");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = judged("attach.p50 < 1us");
    // A limit of which the schedule's own lag is more than a twentieth tells nothing of the platform.
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("the generator was itself the limit"), "{said}");
    let (code, said) = judged("attach.p99 < 20s");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("NOT ENOUGH SAMPLES  attach.p99 < 20s  (50 samples, and it needs 1000)"),
        "{said}"
    );
    let (code, said) = judged("opened >= 51");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("BROKEN  opened >= 51  (50)"), "{said}");
}

#[test]
fn what_is_asked_wrongly_is_said() {
    let folder = folder();
    let here = "ws://127.0.0.1:1/tty";
    let cases: [(&[&str], i32, &str); 11] = [
        (
            &["--url", "ws://127.0.0.1:99999/tty", "--token-env", VARIABLE],
            2,
            "gauntlet: --url: a URL with a port that isn't a number up to 65535\n",
        ),
        (
            &["--url", here],
            2,
            "gauntlet: --url requires --token-env: the name of the variable that holds the token\n",
        ),
        (
            &["--url", here, "--token-env", "NOT_SET"],
            2,
            "gauntlet: NOT_SET is not set: it has to hold the token\n",
        ),
        (
            &["--url", "ws://127.0.0.1:1/tty?token=x", "--token-env", VARIABLE],
            2,
            "gauntlet: --url: a URL with a token: it would stand in the shell's history and the process list; put it \
             into a variable, named by --token-env\n",
        ),
        (
            &["--url", here, "--token-env", VARIABLE, "--mutant", "empty-token-opens"],
            2,
            "gauntlet: --mutant breaks the reference platform, and the target is one that isn't ours\n",
        ),
        (&["--insecure"], 2, "gauntlet: --insecure requires --url\n"),
        (
            &["--mutant", "nonsense"],
            2,
            "gauntlet: --mutant: there is no mutant nonsense\n",
        ),
        (
            &["--mutant", "questions-merged"],
            2,
            "gauntlet: --mutant: questions-merged breaks agent-service/load/refuses, and nothing in this load is of \
             agent-service; --http-users and --http-gateway start the agent service\n",
        ),
        (
            // Documentation's network (RFC 5737): nobody is there, and nothing is sent.
            &["--url", "ws://198.51.100.1/tty", "--token-env", VARIABLE],
            3,
            "gauntlet: 198.51.100.1 is on a public network (198.51.100.1): a load there can do harm to others; where \
             it is yours to load, say so by --i-own-this-target\ngauntlet: no load was made\n",
        ),
        (
            &[
                "--url",
                "ws://[::1]:1/tty",
                "--token-env",
                VARIABLE,
                "-n",
                "600000",
                "--source",
                "::1",
            ],
            3,
            "gauntlet: 600000 attaches need 600064 descriptors",
        ),
        (
            &["--objective", "attach.p99"],
            2,
            "error: invalid value 'attach.p99' for '--objective <OBJECTIVE>'",
        ),
    ];
    for (arguments, code, said) in cases {
        let mut command = gauntlet();
        command
            .current_dir(folder.path())
            .env(VARIABLE, TOKEN)
            .arg("load")
            .args(arguments);
        let ran = ran(command).exits(code);
        assert!(ran.stderr.starts_with(said), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

/// What a load in a scenario rests on is among the evidence, and what it says against the platform is in the verdict.
#[test]
fn a_scenario_says_what_became_of_its_load() {
    let folder = folder();
    let arguments = [
        "run",
        "--level",
        "all",
        "harness-token/load/refuses/old[direct]",
        "--mutant",
        "check-skipped-when-busy",
        "--report",
        "json=r.json",
    ];
    let ran = run_in(folder.path(), &arguments).exits(1);
    assert!(ran.stdout.contains("|   the door opened "), "{}", ran.stdout);
    let report = json(&folder.path().join("r.json"));
    let evidence = report["scenarios"][0]["evidence"].as_array().expect("a list");
    let load = evidence
        .iter()
        .find_map(|path| path.as_str().filter(|path| path.ends_with("/load.json")));
    let load = json(&folder.path().join(load.expect("the load's result")));
    assert_eq!(
        (&load["kind"], &load["verdict"]),
        (&"LoadResult".into(), &"fail".into())
    );
    assert_eq!(load["counts"]["opened"].as_u64(), Some(80), "{}", load["counts"]);
    assert!(load["counts"]["probesOpened"].as_u64() >= Some(1), "{}", load["counts"]);
}
