//! Rotators as processes: two at once, killed, and on a full volume.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use serde_json::Value;

use super::vendor::Vendor;
use crate::binary::{Running, folder, gauntlet, json, until};

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

/// Nor is that of the environment, where both find the same one.
#[test]
fn two_rotators_refresh_a_login_of_the_environment_once() {
    const ROUNDS: usize = 10;
    let vendor = Vendor::start();
    for _ in 0..ROUNDS {
        let folder = folder();
        let issued = vendor.asked("POST", "/control/issue", r#"{"account":"acct-1","ttl":-60}"#);
        let token = |name: &str| issued[name].as_str().expect("a token");
        let variables = [
            ("OPENAI_CODEX_ACCESS_TOKEN", token("access_token")),
            ("OPENAI_CODEX_REFRESH_TOKEN", token("refresh_token")),
        ];
        let rotators = [(); 2].map(|()| vendor.rotator_with(folder.path(), &variables));
        for rotator in &rotators {
            until("the login is active", || {
                match rotator.stdout().contains("active account-1") {
                    true => Ok(()),
                    false => Err(rotator.stdout() + &rotator.stderr()),
                }
            });
        }
    }
    assert_eq!(vendor.refreshes(), ["ok"; ROUNDS]);
}

/// What the tests above would see of one that takes no care.
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
