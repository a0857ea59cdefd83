//! The codex login: with the stand-in and with the real CLI, by hand, and against each other's processes.
//!
//! `tests/codex/install` gets the real one into `target/codex`. Where it is not there its tests say so and are
//! skipped; with `CI` set that is an error.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::binary::{DEADLINE, Ran, Running, folder, gauntlet, gauntlet_with_signals, json, run_in, until};
use crate::up::kubectl;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::Signal;
use serde_json::Value;

const DOCUMENT: &str = include_str!("../docs/codex-auth.md");

/// The real codex; none where it isn't installed.
fn real() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(target);
    let program = root.join("codex/node_modules/.bin/codex");
    let works = Command::new(&program).arg("--version").output();
    if works.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    let message = "codex is not there; tests/codex/install gets it";
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("skipped: {message}");
    None
}

/// What a report says of the run.
fn notes(report: &Path) -> String {
    json(report)["notes"].to_string()
}

#[test]
fn the_stand_in_holds() {
    let folder = folder();
    let run = ["run", "codex-auth", "--codex", "stand-in", "--report", "json=r.json"];
    run_in(folder.path(), &run).exits(0);
    assert_eq!(
        notes(&folder.path().join("r.json")),
        r#"["codex is gauntlet's stand-in"]"#
    );
}

#[test]
fn the_real_one_holds() {
    let Some(program) = real() else { return };
    let folder = folder();
    let program = program.display().to_string();
    let run = [
        "run",
        "codex-auth/login/writes",
        "codex-auth/model/reply",
        "codex-auth/agent/*",
        "codex-auth/pod/codex-installed",
        "--jobs",
        "2",
        "--codex",
        &program,
        "--report",
        "json=r.json",
    ];
    run_in(folder.path(), &run).exits(0);
    let notes = notes(&folder.path().join("r.json"));
    assert!(notes.contains(&format!("codex is {program} (codex-cli 0.")), "{notes}");
}

#[test]
fn the_codex_of_path_is_found_and_told_of() {
    let folder = folder();
    let run = |path: &Path, arguments: &[&str]| {
        let mut command = gauntlet();
        command.current_dir(folder.path()).env("PATH", path).args(arguments);
        Ran::of(command.output().expect("gauntlet starts"))
    };
    let one = ["run", "codex-auth/pod/shape", "--report", "json=r.json"];
    run(folder.path(), &one).exits(0);
    let said = notes(&folder.path().join("r.json"));
    assert!(
        said.contains("stand-in: no codex on PATH; `tests/codex/install`"),
        "{said}"
    );

    // Written by another process: what this one has open for writing others may have inherited, and then it can't
    // be run.
    let script = "#!/bin/sh\\necho codex-cli 7.8.9\\n";
    let made = Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", &format!("printf '{script}' >codex && chmod 755 codex")])
        .status();
    assert!(made.expect("a shell").success());
    run(folder.path(), &one).exits(0);
    let said = notes(&folder.path().join("r.json"));
    let file = folder.path().join("codex");
    assert!(
        said.contains(&format!("codex is {} (codex-cli 7.8.9)", file.display())),
        "{said}"
    );
    let doctor = run(folder.path(), &["doctor"]);
    assert!(doctor.stdout.contains("codex-cli 7.8.9"), "{}", doctor.stdout);

    // Nothing else needs one.
    let nowhere = ["run", "agent-service/jwt/none", "--codex", "nowhere/codex"];
    run(folder.path(), &nowhere).exits(0);
    let nowhere = ["run", "codex-auth/pod/shape", "--codex", "nowhere/codex"];
    let said = run(folder.path(), &nowhere).exits(3).stderr;
    assert!(said.contains("starting `nowhere/codex --version`"), "{said}");
    assert!(said.contains("`--codex stand-in` does without it"), "{said}");
    let elsewhere = ["run", "codex-auth", "--target", "kind", "--codex", "nowhere/codex"];
    let said = run(folder.path(), &elsewhere).exits(2).stderr;
    assert!(said.contains("`--base-image IMAGE` brings a codex"), "{said}");
}

#[test]
fn a_failure_is_shown_again_with_the_same_codex() {
    let folder = folder();
    let run = [
        "run",
        "codex-auth/login/mode",
        "--level",
        "all",
        "--mutant",
        "login-file-for-all",
        "--codex",
        "stand-in",
    ];
    let ran = run_in(folder.path(), &run).exits(1);
    assert!(ran.stdout.contains(" --codex stand-in"), "{}", ran.stdout);
}

/// The commands of a document's section, without those of others.
fn documented() -> Vec<&'static str> {
    let (_, section) = DOCUMENT.split_once("**Logging in by hand**").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let blocks = section.split("\n```\n").skip(1).step_by(2);
    blocks.flat_map(str::lines).collect()
}

/// What a command that `gauntlet up codex-auth` prints has to show once the login is there.
fn shown_by(line: &str) -> &'static str {
    let known = [
        ("get pods", "cloud-codex-nova-"),
        ("ls -l", "auth-1.json"),
        ("kubectl logs", "active account-1"),
        ("codex exec", "Hello from acct-1."),
        ("/control/records", "acct-1"),
        ("/v1/models", "gpt-5-codex"),
    ];
    let found = known.into_iter().find(|(part, _)| line.contains(part));
    found
        .unwrap_or_else(|| panic!("nobody knows what {line:?} is to show"))
        .1
}

/// All that is printed and documented is run.
#[test]
fn a_login_by_hand() {
    if kubectl().is_none() {
        return;
    }
    let folder = folder();
    let mut command = gauntlet_with_signals();
    command
        .current_dir(folder.path())
        .args(["up", "codex-auth", "--kubeconfig", "k.yaml", "--codex", "stand-in"]);
    let mut up = Running::start(&mut command).expect("gauntlet starts");
    until("the platform is up", || match up.stdout().contains("Ctrl-C ends it") {
        true => Ok(()),
        false => Err(up.stdout() + &up.stderr()),
    });
    let out = up.stdout();
    let lines: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let vendor = out
        .lines()
        .find_map(|line| line.strip_prefix("vendor "))
        .expect("its address")
        .trim();
    let documented = documented();
    assert!(documented.len() > 4, "{documented:?}");
    for line in documented {
        let told = line.replace("VENDOR", vendor);
        assert!(lines.contains(&told.as_str()), "{told}: not among {lines:#?}");
    }

    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command
            .current_dir(folder.path())
            .env("KUBECACHEDIR", folder.path().join("cache"))
            .stdin(std::process::Stdio::null())
            .args(["-c", script]);
        command
    };
    let (mut before, mut login, mut code) = (String::new(), None, String::new());
    let variable = regex::Regex::new("^(export )?[A-Z_]+=").expect("a pattern");
    let pattern = regex::Regex::new("[A-Z0-9]{4}-[A-Z0-9]{4,5}").expect("a pattern");
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        if variable.is_match(line) {
            before.push_str(&format!("{line}\n"));
            continue;
        }
        let script = format!("{before}{}", line.replace("\"CODE\"", &format!("\"{code}\"")));
        if line.contains("auth-login") {
            let begun = Running::start(&mut shell(&script)).expect("a shell");
            until("the code is shown", || {
                let out = begun.stdout();
                code = pattern
                    .find(&out)
                    .map(|found| found.as_str().to_owned())
                    .unwrap_or_default();
                match code.is_empty() {
                    true => Err(out + &begun.stderr()),
                    false => Ok(()),
                }
            });
            login = Some(begun);
            continue;
        }
        if line.contains("/control/approve") {
            Ran::of(shell(&script).output().expect("a shell")).exits(0);
            let mut login: Running = login.take().expect("it was begun before");
            assert_eq!(login.ends().code(), Some(0), "{}{}", login.stdout(), login.stderr());
            continue;
        }
        // The rotator needs a moment to see the login.
        until(line, || {
            let ran = Ran::of(shell(&script).output().expect("a shell"));
            match ran.code == Some(0) && ran.stdout.contains(shown_by(line)) {
                true => Ok(()),
                false => Err(ran.stdout + &ran.stderr),
            }
        });
    }
    assert!(!code.is_empty(), "nobody logged in: {lines:#?}");
    up.signal(Signal::INT);
    assert_eq!(up.ends().code(), Some(0), "{}", up.stderr());
}

/// The vendor as a process.
struct Vendor {
    address: SocketAddr,
    _running: Running,
}

impl Vendor {
    fn start() -> Vendor {
        // A port that is free now may be taken by the time that it listens: then another one.
        for _ in 0..10 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let address = free.expect("a free port");
            let mut command = gauntlet();
            command
                .args(["platform", "vendor"])
                .env("PORT", address.port().to_string())
                .env("GAUNTLET_LISTEN", "127.0.0.1")
                .env_remove("GAUNTLET_MUTANTS");
            let mut running = Running::start(&mut command).expect("gauntlet starts");
            let mut taken = false;
            until("the vendor listens", || {
                let out = running.stdout();
                taken = out.contains("can't listen");
                let ended = running.child.try_wait().expect("the process can be asked");
                match (taken || out.contains(" on port "), ended) {
                    (true, _) => Ok(()),
                    (false, Some(status)) => panic!("{status}: {out}{}", running.stderr()),
                    (false, None) => Err(out),
                }
            });
            if !taken {
                return Vendor {
                    address,
                    _running: running,
                };
            }
        }
        panic!("no port stays free");
    }

    fn asked(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect_timeout(&self.address, DEADLINE).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: vendor\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// How each refresh so far has ended.
    fn refreshes(&self) -> Vec<String> {
        let records = self.asked("GET", "/control/records", "");
        let all = records["refreshes"].as_array().expect("a list").iter();
        all.map(|one| one["outcome"].as_str().expect("an outcome").to_owned())
            .collect()
    }

    /// A rotator of a folder as a process of its own, which looks each 5 ms.
    fn rotator(&self, folder: &Path, mutants: &str) -> Running {
        let mut command = gauntlet_with_signals();
        command
            .args(["platform", "codex-auth-rotator"])
            .env("CHATGPT_AUTH_DIR", folder)
            .env("CODEX_ROTATION_INTERVAL_SEC", "3600")
            .env("CODEX_ROTATION_POLL_SEC", "0.005")
            .env("CODEX_ISSUER", format!("http://{}", self.address))
            .env("GAUNTLET_MUTANTS", mutants);
        Running::start(&mut command).expect("gauntlet starts")
    }

    /// Puts an expired login that can be refreshed into a folder, as account 1.
    fn expired(&self, folder: &Path) {
        let issued = self.asked("POST", "/control/issue", r#"{"account":"acct-1","ttl":-60}"#);
        put(
            folder,
            "auth-1.json",
            &serde_json::json!({ "tokens": issued }).to_string(),
        );
    }
}

/// Replaces a file as a whole.
fn put(folder: &Path, name: &str, text: &str) {
    let new = folder.join("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(new, folder.join(name)).expect("renamed");
}

/// A refresh token is good for one use, and the vendor revokes a login whose token is used twice.
#[test]
fn two_rotators_refresh_a_login_once() {
    const ROUNDS: usize = 100;
    let (folder, vendor) = (folder(), Vendor::start());
    let mut rotators = [vendor.rotator(folder.path(), ""), vendor.rotator(folder.path(), "")];
    for rotator in &rotators {
        until("it looks", || match rotator.stdout().contains("started") {
            true => Ok(()),
            false => Err(rotator.stdout() + &rotator.stderr()),
        });
    }
    for round in 1..=ROUNDS {
        vendor.expired(folder.path());
        until("the login is refreshed", || {
            let refreshes = vendor.refreshes();
            match refreshes.len() >= round {
                true => Ok(()),
                false => Err(format!("{refreshes:?}")),
            }
        });
        assert_eq!(vendor.refreshes(), vec!["ok"; round]);
        // Kept, or the next login would come before the new pair of this one.
        until("the new pair is kept", || {
            let file = std::fs::read_to_string(folder.path().join("auth-1.json")).expect("a login");
            let active = std::fs::read_to_string(folder.path().join("auth.json")).unwrap_or_default();
            let (file, active): (Value, Value) = (
                serde_json::from_str(&file).expect("JSON"),
                serde_json::from_str(&active).unwrap_or_default(),
            );
            match file["tokens"]["access_token"] == active["access_token"] {
                true => Ok(()),
                false => Err("another login is active".to_owned()),
            }
        });
    }
    for rotator in &mut rotators {
        rotator.signal(Signal::TERM);
        assert_eq!(rotator.ends().code(), Some(0), "{}", rotator.stdout());
    }
    assert_eq!(vendor.refreshes(), ["ok"; ROUNDS]);
}

/// What the test above would see of one that takes no care.
#[test]
fn a_refresh_without_a_lock_is_seen() {
    let (folder, vendor) = (folder(), Vendor::start());
    vendor.expired(folder.path());
    let _rotator = vendor.rotator(folder.path(), "refresh-unlocked");
    until("two refreshes", || {
        let refreshes = vendor.refreshes();
        match refreshes.contains(&"reused".to_owned()) {
            true => Ok(()),
            false => Err(format!("{refreshes:?}")),
        }
    });
}

/// A login that is good for long, and long itself, so that it is not written at once.
fn login(account: &str) -> String {
    let claims = serde_json::json!({ "exp": 99_999_999_999_u64, "sub": account, "pad": account.repeat(4000) });
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    serde_json::json!({ "tokens": { "access_token": token } }).to_string()
}

/// What is wrong with a file that is to be a whole JSON object; nothing where it isn't there.
fn half(file: &Path) -> Option<String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return Some(error.to_string()),
    };
    let whole = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
    (!whole).then(|| format!("{} bytes that are no object", text.len()))
}

/// A rotator that rotates each millisecond is killed 200 times, and a reader looks all the while.
#[test]
fn a_writer_that_is_killed_leaves_no_half_file() {
    const KILLS: usize = 200;
    let folder = folder();
    for account in ["1", "2"] {
        put(
            folder.path(),
            &format!("auth-{account}.json"),
            &login(&format!("acct-{account}")),
        );
    }
    let (active, stop) = (folder.path().join("auth.json"), Arc::new(AtomicBool::new(false)));
    let reader = {
        let (active, stop) = (active.clone(), stop.clone());
        std::thread::spawn(move || {
            let (mut seen, mut wrong, mut was_there) = (BTreeSet::new(), Vec::new(), false);
            while !stop.load(Ordering::Relaxed) {
                let there = active.exists();
                if was_there && !there {
                    wrong.push("it is missing".to_owned());
                }
                was_there |= there;
                wrong.extend(half(&active));
                seen.extend(std::fs::read_to_string(&active).ok());
            }
            (seen.len(), wrong)
        })
    };
    for _ in 0..KILLS {
        let mut command = gauntlet();
        command
            .args(["platform", "codex-auth-rotator"])
            .env("CHATGPT_AUTH_DIR", folder.path())
            .env("CODEX_ROTATION_INTERVAL_SEC", "0.001")
            .env("CODEX_ROTATION_POLL_SEC", "0.001")
            .env_remove("GAUNTLET_MUTANTS");
        let mut rotator = Running::start(&mut command).expect("gauntlet starts");
        until("it writes", || match rotator.stdout().contains("active account-") {
            true => Ok(()),
            false => Err(rotator.stdout() + &rotator.stderr()),
        });
        // At any moment of a write.
        std::thread::sleep(Duration::from_micros(rand::random::<u64>() % 5000));
        rotator.signal(Signal::KILL);
        rotator.ends();
        assert!(active.exists(), "there was one before");
        for name in ["auth.json", "rotator_state.json", "auth-1.json", "auth-2.json"] {
            assert_eq!(half(&folder.path().join(name)), None, "{name}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (seen, wrong) = reader.join().expect("the reader ends");
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(seen, 2, "the reader saw both logins");
}
