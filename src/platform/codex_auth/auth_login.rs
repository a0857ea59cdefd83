//! What `/scripts/auth-login.sh N` runs: makes a login with the codex CLI, and keeps it as account N.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `CHATGPT_AUTH_DIR` | `/chatgpt-auth` | the folder |
//! | `CODEX_ISSUER`, `CODEX_CLIENT_ID` | those of the CLI | where the login is made, and as whom |
//! | `CODEX_BIN_DIR` | | looked at before `PATH` for `codex` |
//!
//! The CLI gets a home of its own on the volume, which is removed whatever happens: the login comes to stand
//! under its name whole, or nothing changes. The CLI's output goes straight to the terminal, since the person
//! has to see the code while the CLI waits.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::process::Command;

use super::super::{ComponentError, Pod, mutant};
use super::account::Account;
use super::folder::{Folder, PRIVATE};
use super::login::{Login, NoLogin};

const USAGE: &str = "usage: auth-login N, where N is the account: 1, 2 or 3";

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let target = target(&pod)?;
    let folder = Folder::of(&pod);
    if pod.has(&mutant::LOGIN_CLEARS_FIRST) {
        let _removed = folder.remove(&target);
    }
    // What was left by logins that were killed has a code or even tokens in it.
    let _swept = folder.sweep();
    let home = folder.home().map_err(|error| {
        let path = folder.path().display();
        ComponentError(format!("making a folder for the login in {path}: {error}"))
    })?;
    let status = codex(&pod, home.path()).await?;
    if !status.success() && !pod.has(&mutant::LOGIN_ALWAYS_SUCCEEDS) {
        return Err(ComponentError(format!(
            "codex ended with {status}; {target} is as it was"
        )));
    }
    let made = Folder::at(home.path().join(".codex"));
    let bytes = match login(&pod, &made) {
        Ok(bytes) => bytes,
        Err(_) if pod.has(&mutant::LOGIN_ALWAYS_SUCCEEDS) => return Ok(()),
        Err(why) => {
            return Err(ComponentError(format!(
                "codex left no login: {why}; {target} is as it was"
            )));
        }
    };
    if !pod.has(&mutant::LOGIN_STAYS_AT_HOME) {
        let mode = if pod.has(&mutant::LOGIN_FILE_FOR_ALL) {
            0o644
        } else {
            PRIVATE
        };
        let written = folder.replace_durably(&target, bytes, mode).await;
        written.map_err(|error| ComponentError(format!("writing {target}: {error}")))?;
    }
    pod.log.line(format!("{target} is written"));
    home.close()
        .map_err(|error| ComponentError(format!("removing the login's folder: {error}")))
}

/// The file that the login is to be in.
fn target(pod: &Pod) -> Result<String, ComponentError> {
    let usage = || ComponentError(USAGE.to_owned());
    let word = match &pod.args[..] {
        [word] => word.as_str(),
        [] if pod.has(&mutant::LOGIN_WITHOUT_NUMBER) => "1",
        _ => return Err(usage()),
    };
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    match Account::named(word) {
        Some(account) => Ok(account.file()),
        None if is_number && pod.has(&mutant::LOGIN_TAKES_FOUR) => Ok(format!("auth-{word}.json")),
        None if !is_number && pod.has(&mutant::LOGIN_TAKES_PATHS) => {
            let name = word.rsplit('/').next().unwrap_or_default();
            Ok(format!("auth-{name}.json"))
        }
        None => Err(usage()),
    }
}

/// Runs `codex login` on the terminal that this process has.
async fn codex(pod: &Pod, home: &Path) -> Result<ExitStatus, ComponentError> {
    let own = pod.var("CODEX_BIN_DIR").map(|folder| Path::new(folder).join("codex"));
    let program = own.filter(|path| path.exists()).unwrap_or_else(|| "codex".into());
    let mut command = Command::new(&program);
    command
        .args(["login", "--device-auth"])
        .env_clear()
        .envs(pod.env.iter())
        .env("HOME", home)
        .env_remove("CODEX_HOME")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let flags = [
        ("--experimental_issuer", "CODEX_ISSUER"),
        ("--experimental_client-id", "CODEX_CLIENT_ID"),
    ];
    for (flag, variable) in flags {
        if let Some(value) = pod.var(variable).filter(|value| !value.is_empty()) {
            command.args([flag, value]);
        }
    }
    let wrong = |error: std::io::Error| ComponentError(format!("running {}: {error}", program.display()));
    if pod.has(&mutant::LOGIN_TALKS_LATE) {
        let output = command.output().await.map_err(wrong)?;
        pod.log.line(String::from_utf8_lossy(&output.stdout));
        return Ok(output.status);
    }
    let mut child = command.spawn().map_err(wrong)?;
    tokio::select! {
        ended = child.wait() => ended.map_err(wrong),
        () = pod.stop.cancelled() => {
            // It would go on waiting for a person who has gone, in a home that is about to be removed.
            let _ended_meanwhile = child.kill().await;
            Err(ComponentError("it was told to stop before the login was made; nothing has changed".into()))
        }
    }
}

/// What codex has left, where that is a login.
fn login(pod: &Pod, made: &Folder) -> Result<Vec<u8>, NoLogin> {
    let read = made.read("auth.json");
    if pod.has(&mutant::LOGIN_WRITES_EMPTY) {
        return Ok(read.ok().flatten().unwrap_or_default());
    }
    let bytes = read?.ok_or(NoLogin::Missing)?;
    // The rotator takes both shapes; a mutant that doesn't is not this program's.
    let shapes = Pod {
        env: Default::default(),
        ..pod.clone()
    };
    Login::parse(&shapes, &bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::super::super::pod::tests::pod;
    use super::super::login::tests::nested;
    use super::*;

    /// Runs it with a `codex` that is this script; gives what is in the folder then.
    async fn run_with(script: &str, args: &[&str], mutants: &str) -> (Result<(), ComponentError>, Vec<String>) {
        let temporary = tempfile::tempdir().expect("a folder");
        let (volume, bin) = (temporary.path().join("volume"), temporary.path().join("bin"));
        fs::create_dir(&volume).expect("made");
        fs::create_dir(&bin).expect("made");
        let old = volume.join("auth-2.json");
        fs::write(&old, "old").expect("written");
        fs::set_permissions(&old, Permissions::from_mode(0o644)).expect("set");
        // Written by another process: what this one has open for writing others may have inherited, and then
        // it can't be run.
        let made = std::process::Command::new("/bin/sh")
            .args(["-c", "printf '%s\\n' '#!/bin/sh' \"$1\" >\"$0\" && chmod 755 \"$0\""])
            .arg(bin.join("codex"))
            .arg(script)
            .status();
        assert!(made.expect("a shell").success());
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        let (volume_text, bin_text) = (text(&volume), text(&bin));
        let env = [
            ("CHATGPT_AUTH_DIR", volume_text.as_str()),
            ("CODEX_BIN_DIR", bin_text.as_str()),
            ("PATH", "/usr/bin:/bin"),
            ("CODEX_ISSUER", "http://127.0.0.1:9"),
            ("GAUNTLET_MUTANTS", mutants),
        ];
        let pod = Pod {
            args: args.iter().map(|word| (*word).to_owned()).collect(),
            ..pod(&env)
        };
        let ended = run(pod).await;
        let mut files: Vec<String> = fs::read_dir(&volume)
            .expect("a folder")
            .map(|entry| {
                let path = entry.expect("an entry").path();
                let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
                let length = fs::read_to_string(&path).map_or(0, |text| text.len());
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                format!("{name} {mode:o} {length}")
            })
            .collect();
        files.sort();
        (ended, files)
    }

    fn writes(login: &str) -> String {
        format!("test \"$1\" = login && mkdir \"$HOME/.codex\" && printf %s '{login}' >\"$HOME/.codex/auth.json\"")
    }

    #[tokio::test]
    async fn a_login_is_kept_under_its_name_alone() {
        let login = nested("a", 7.0);
        let (ended, files) = run_with(&writes(&login), &["2"], "").await;
        ended.expect("logged in");
        assert_eq!(files, [format!("auth-2.json 600 {}", login.len())]);
    }

    #[tokio::test]
    async fn what_fails_changes_nothing() {
        let good = writes(&nested("a", 7.0));
        let exits = format!("{good}; exit 3");
        let (empty, nothing) = (writes(""), writes("{}"));
        let cases: [(&str, &[&str]); 11] = [
            ("exit 1", &["2"]),
            ("exit 0", &["2"]),
            ("kill -9 $$", &["2"]),
            (&empty, &["2"]),
            (&nothing, &["2"]),
            (&exits, &["2"]),
            (&good, &[]),
            (&good, &["4"]),
            (&good, &["../x"]),
            (&good, &["2", "3"]),
            (&good, &[""]),
        ];
        for (script, args) in cases {
            let (ended, files) = run_with(script, args, "").await;
            assert!(ended.is_err(), "{script} {args:?}");
            assert_eq!(files, ["auth-2.json 644 3"], "{script} {args:?}");
        }
    }

    #[tokio::test]
    async fn mutants_change_something() {
        let good = writes(&nested("a", 7.0));
        let cases: [(&str, &str, &[&str]); 5] = [
            ("login-clears-first", "exit 1", &["2"]),
            ("login-writes-empty", "exit 0", &["2"]),
            ("login-takes-four", &good, &["4"]),
            ("login-takes-paths", &good, &["../x"]),
            ("login-without-number", &good, &[]),
        ];
        for (mutant, script, args) in cases {
            let (_, files) = run_with(script, args, mutant).await;
            assert_ne!(files, ["auth-2.json 644 3"], "{mutant}");
        }
        let (ended, _) = run_with("exit 1", &["2"], "login-always-succeeds").await;
        ended.expect("it says that it went well");
    }
}
