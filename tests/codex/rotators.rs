//! Rotators and logins as processes: at once, killed, and on a full volume.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::Value;

use crate::binary::{DEADLINE, Running, folder, gauntlet, gauntlet_with_signals, json, until};

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
pub fn put(folder: &Path, name: &str, text: &str) {
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
pub fn login(account: &str) -> String {
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

/// Kills a rotator that writes each millisecond, and looks at what it leaves.
fn kill_a_writer(folder: &Path) {
    let mut command = gauntlet();
    command
        .args(["platform", "codex-auth-rotator"])
        .env("CHATGPT_AUTH_DIR", folder)
        .env("CODEX_ROTATION_INTERVAL_SEC", "0.001")
        .env("CODEX_ROTATION_POLL_SEC", "0.001")
        .env_remove("GAUNTLET_MUTANTS");
    let mut rotator = command.stdout(Stdio::piped()).spawn().expect("gauntlet starts");
    let mut lines = BufReader::new(rotator.stdout.take().expect("a pipe")).lines();
    let writes = lines.any(|line| line.is_ok_and(|line| line.contains("active account-")));
    // At any moment of a write.
    std::thread::sleep(Duration::from_micros(rand::random::<u64>() % 3000));
    rotator.kill().expect("it can be killed");
    rotator.wait().expect("it ends");
    assert!(writes, "it writes before it is killed");
    assert!(folder.join("auth.json").exists(), "there was one before");
    for name in ["auth.json", "rotator_state.json", "auth-1.json", "auth-2.json"] {
        assert_eq!(half(&folder.join(name)), None, "{name}");
    }
}

/// Rotators are killed 1,000 times, and a reader looks all the while.
#[test]
fn a_writer_that_is_killed_leaves_no_half_file() {
    const KILLS: usize = 1000;
    // To start a process takes far longer than to write.
    const AT_ONCE: usize = 4;
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
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| (0..KILLS / AT_ONCE).for_each(|_| kill_a_writer(folder.path())));
        }
    });
    stop.store(true, Ordering::Relaxed);
    let (seen, wrong) = reader.join().expect("the reader ends");
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(seen, 2, "the reader saw both logins");
}

/// What is written on a full volume is lost, and what was there stays as it was. A file that may have no bytes is as
/// one on a volume without room.
#[test]
fn a_full_volume_leaves_what_was_there() {
    let folder = folder();
    let (active, old) = (folder.path().join("auth.json"), r#"{"access_token":"old"}"#);
    put(folder.path(), "auth-1.json", &login("acct-1"));
    put(folder.path(), "auth.json", old);
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "trap '' XFSZ && ulimit -S -f 0 && exec \"$0\" platform codex-auth-rotator",
        ])
        .arg(env!("CARGO_BIN_EXE_gauntlet"))
        .env("CHATGPT_AUTH_DIR", folder.path())
        .env("CODEX_ROTATION_INTERVAL_SEC", "3600")
        .env("CODEX_ROTATION_POLL_SEC", "0.005")
        .env_remove("GAUNTLET_MUTANTS");
    let mut rotator = Running::start(&mut command).expect("a shell");
    until("it fails to write", || match rotator.stdout() {
        out if out.contains("writing auth.json: ") && out.contains("writing rotator_state.json: ") => Ok(()),
        out => Err(out + &rotator.stderr()),
    });
    assert_eq!(std::fs::read_to_string(&active).expect("there"), old);
    // There is room again.
    let most = getrlimit(Resource::Fsize).maximum;
    let room = Rlimit {
        current: most,
        maximum: most,
    };
    prlimit(Some(Pid::from_child(&rotator.child)), Resource::Fsize, room).expect("set");
    until("it writes", || match rotator.stdout() {
        out if out.contains("active account-1") => Ok(()),
        out => Err(out),
    });
    let written: Value = json(&active);
    assert_ne!(written["access_token"], "old");
    rotator.signal(Signal::KILL);
    rotator.ends();
    let left = std::fs::read_dir(folder.path()).expect("a folder").map(|entry| {
        let entry = entry.expect("an entry");
        entry.file_name().to_string_lossy().into_owned()
    });
    let left: BTreeSet<String> = left.collect();
    assert!(left.len() <= 4, "each write in vain leaves nothing: {left:?}");
}

/// Three people log in at once, one of them twice: each login is whole, and in no other's file.
#[test]
fn logins_at_once_keep_apart() {
    let (volume, bin, vendor) = (folder(), folder(), Vendor::start());
    // Written by another process: what this one has open for writing others may have inherited, and then it can't
    // be run.
    let script = format!(
        "#!/bin/sh\nexec '{}' platform codex \"$@\"\n",
        env!("CARGO_BIN_EXE_gauntlet")
    );
    let made = Command::new("sh")
        .current_dir(bin.path())
        .args(["-c", "printf %s \"$0\" >codex && chmod 755 codex", &script])
        .status();
    assert!(made.expect("a shell").success());
    let mut logins = ["1", "2", "3", "1"].map(|account| {
        let mut command = gauntlet_with_signals();
        command
            .args(["platform", "auth-login", account])
            .env("CHATGPT_AUTH_DIR", volume.path())
            .env("CODEX_BIN_DIR", bin.path())
            .env("CODEX_ISSUER", format!("http://{}", vendor.address))
            .env("CODEX_CLIENT_ID", "gauntlet-codex")
            .env_remove("GAUNTLET_MUTANTS");
        (account, Running::start(&mut command).expect("gauntlet starts"))
    });
    // All have begun before anybody is done.
    let pattern = regex::Regex::new("[A-Z]{4}-[A-Z]{4}").expect("a pattern");
    let mut codes = Vec::new();
    for (account, login) in &logins {
        until("a code is shown", || {
            let out = login.stdout();
            match pattern.find(&out) {
                Some(code) => {
                    codes.push((*account, code.as_str().to_owned()));
                    Ok(())
                }
                None => Err(out + &login.stderr()),
            }
        });
    }
    for (account, code) in codes {
        let approved = serde_json::json!({ "user_code": code, "account": format!("acct-{account}") });
        vendor.asked("POST", "/control/approve", &approved.to_string());
    }
    for (account, login) in &mut logins {
        let code = login.ends().code();
        assert_eq!(code, Some(0), "{account}: {}{}", login.stdout(), login.stderr());
    }
    for account in ["1", "2", "3"] {
        let file = volume.path().join(format!("auth-{account}.json"));
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = json(&file)["tokens"]["access_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        let claims = token.split('.').nth(1).expect("claims");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["sub"], format!("acct-{account}"), "{claims}");
    }
    // Nothing of the logins' own is left.
    let left = std::fs::read_dir(volume.path()).expect("a folder").count();
    assert_eq!(left, 3);
}
