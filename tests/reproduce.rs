//! The commands under "to see it again, paste:" show the failure again.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::binary::{Ran, Running, files_below, folder, run_in, until};
use rustix::process::{Pid, Signal, kill_process_group};

/// Whether programs are there that a person's shell has. In CI they must be.
pub fn are_there(programs: &[&str]) -> bool {
    for program in programs {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .expect("sh starts");
        if !found.status.success() {
            assert!(std::env::var_os("CI").is_none(), "{program} is not there");
            eprintln!("skipped: {program} is not there");
            return false;
        }
    }
    true
}

/// A person's shell, with `gauntlet` on its path.
fn shell(folder: &Path, line: &str) -> Command {
    let gauntlet = Path::new(env!("CARGO_BIN_EXE_gauntlet")).parent().expect("its folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("env");
    command
        .args(["--default-signal=HUP,INT,TERM", "sh", "-c", line])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", gauntlet.display()))
        .env("HOME", folder)
        .env_remove("KUBECONFIG")
        .env_remove("AUTH_JWT_SECRET")
        .stdin(Stdio::null());
    command
}

/// A platform that a line of a shell started, ended with all that the line started.
struct Up(Running);

impl Drop for Up {
    fn drop(&mut self) {
        let _gone = kill_process_group(Pid::from_child(&self.0.child), Signal::TERM);
    }
}

/// The commands that a run printed.
pub fn printed(out: &str) -> Vec<&str> {
    let behind = out
        .split("  to see it again, paste:\n")
        .nth(1)
        .expect("commands to paste");
    behind.lines().map_while(|line| line.strip_prefix("    ")).collect()
}

/// The status of the last answer in a text.
fn last_status(text: &str) -> Option<String> {
    let status = regex::Regex::new(r"HTTP/1\.1 (\d{3})").expect("a pattern");
    status.captures_iter(text).last().map(|found| found[1].to_owned())
}

#[track_caller]
fn is_seen_again(case: &str, mutant: &str) {
    if !are_there(&["curl", "kubectl"]) {
        return;
    }
    let folder = folder();
    let folder = folder.path();
    let ran = run_in(folder, &["run", case, "--level", "all", "--mutant", mutant]).exits(1);
    let files = files_below(folder);
    let wire = files
        .iter()
        .find(|(path, _)| path.ends_with("wire.txt"))
        .expect("the wire");
    let status = last_status(&wire.1).expect("an answer");
    let lines = printed(&ran.stdout);
    let up = lines
        .iter()
        .position(|line| line.starts_with("gauntlet up"))
        .expect("a platform");
    for line in lines[..up].iter().filter(|line| !line.starts_with('#')) {
        let again = Ran::of(shell(folder, line).output().expect("sh starts")).exits(1);
        assert!(again.stdout.contains("0 passed, 1 failed"), "{line}\n{}", again.stdout);
        assert!(
            again.stdout.contains(&format!("FAIL {case}")),
            "{line}\n{}",
            again.stdout
        );
    }
    let mut command = shell(folder, lines[up]);
    let platform = Up(Running::start(command.process_group(0)).expect("sh starts"));
    until("the platform is up", || {
        match platform.0.stdout().contains("Ctrl-C ends it") {
            true => Ok(()),
            false => Err(platform.0.stdout() + &platform.0.stderr()),
        }
    });
    let rest = lines[up + 1..].join("\n");
    // What comes over a terminal is no text.
    let seen = shell(folder, &rest).output().expect("sh starts");
    let [out, error] = [seen.stdout, seen.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(last_status(&out), Some(status), "{rest}\n{out}\n{error}");
}

#[test]
fn an_agent_service_that_lets_everybody_in() {
    is_seen_again("agent-service/role/inactive[builtin]", "role-unchecked");
}

#[test]
fn an_agent_service_whose_gateway_takes_what_is_expired() {
    is_seen_again("agent-service/jwt/expired[builtin]", "exp-unchecked");
}

#[test]
fn a_terminal_that_opens_without_a_token() {
    is_seen_again("harness-token/token/refuse[proxy]", "empty-token-opens");
}

#[test]
fn a_terminal_that_is_reached_straight() {
    is_seen_again("harness-token/token/accept[direct]", "token-with-newline");
}

/// What was found stands in logs that are gone with their world, and no request shows it.
#[test]
fn a_token_in_a_log() {
    let folder = folder();
    let folder = folder.path();
    for (case, mutant) in [
        ("agent-service/leak/log[builtin]", "jwt-in-log"),
        ("harness-token/leak/log", "token-in-access-log"),
    ] {
        let ran = run_in(folder, &["run", case, "--mutant", mutant]).exits(1);
        let lines = printed(&ran.stdout);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let again = Ran::of(shell(folder, lines[0]).output().expect("sh starts")).exits(1);
        assert!(again.stdout.contains("0 passed, 1 failed"), "{}", again.stdout);
    }
}
