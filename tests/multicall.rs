//! The binary under its other names: what a pod of its image runs, and a terminal's visitor types.

mod common;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use common::{Ran, until};

/// A folder with the binary under each of its names, and nothing else.
fn names() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, _) in gauntlet::multicall::APPLETS {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_gauntlet"), folder.path().join(name)).expect("a link");
    }
    let path = folder.path().to_owned();
    (folder, path)
}

fn program(names: &Path, name: &str) -> Command {
    let mut command = Command::new(names.join(name));
    command.env_clear().env("PATH", names).stdin(Stdio::null());
    command
}

fn ran(names: &Path, line: &[&str], input: &str) -> Ran {
    let mut command = program(names, line[0]);
    command.args(&line[1..]).env("TOKEN", "a b");
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("it starts");
    // It may end without reading all.
    let _ended = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    Ran::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn each_name_is_its_program() {
    let (_folder, names) = names();
    let says = |line: &[&str], input: &str, code: i32, expected: &str| {
        assert_eq!(ran(&names, line, input).exits(code).stdout, expected, "{line:?}");
    };
    says(&["true", "x"], "", 0, "");
    says(&["false"], "", 1, "");
    says(&["echo", "a", "b"], "", 0, "a b\n");
    says(&["printenv", "TOKEN"], "", 0, "a b\n");
    says(&["printenv", "TOKEN", "NONE"], "", 1, "a b\n");
    says(&["env", "-i", "A=1", "B=2"], "", 0, "A=1\nB=2\n");
    says(&["env", "A=1", "printenv", "A", "TOKEN"], "", 0, "1\na b\n");
    says(&["env", "nothing"], "", 127, "");
    says(&["cat", "-", "/dev/null"], "in", 0, "in");
    says(&["tr", r"\0a", " A"], "a\0b", 0, "A b");
    says(&["sleep", "0.001"], "", 0, "");
    says(&["stty", "size"], "", 1, "");
    let missing = ran(&names, &["cat", "missing"], "").exits(1).stderr;
    assert_eq!(missing, "cat: missing: No such file or directory (os error 2)\n");
}

#[test]
fn the_shell_runs_texts_files_and_input() {
    let (_folder, names) = names();
    let says = |line: &[&str], input: &str, code: i32, expected: &str| {
        assert_eq!(ran(&names, line, input).exits(code).stdout, expected, "{line:?}");
    };
    says(&["sh", "-c", "printenv TOKEN && exit 3"], "", 3, "a b\n");
    // What a mutant of the platform runs its terminal with.
    says(
        &["sh", "-c", "shift; \"$@\"; exit", "terminal", "secret", "echo", "x y"],
        "",
        0,
        "x y\n",
    );
    says(&["sh"], "echo a\ncat\nrest\n", 0, "a\nrest\n");
    says(&["sh"], "echo a; exit 4\necho b\n", 4, "a\n");
    assert_eq!(
        ran(&names, &["sh", "-c", "a | b"], "").exits(2).stderr,
        "sh: a pipe (|) is not supported\n"
    );
    assert_eq!(
        ran(&names, &["sh"], "echo 'a").exits(2).stderr,
        "sh: the input ends within quotes (')\n"
    );
    // How the command lines of all processes are read.
    let script = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; echo; done 2>/dev/null; true";
    let seen = ran(&names, &["sh", "-c", script], "").exits(0).stdout;
    assert!(seen.contains("sh -c for f in"), "{seen}");
}

/// A shell on a terminal of its own. Dropped, it is killed.
struct Session {
    pty: pty_process::blocking::Pty,
    shown: Arc<Mutex<String>>,
    child: std::process::Child,
}

impl Session {
    fn start(names: &Path) -> Session {
        let (pty, pts) = pty_process::blocking::open().expect("a terminal");
        pty.resize(pty_process::Size::new(33, 101)).expect("resized");
        let command = pty_process::blocking::Command::new(names.join("sh"))
            .env_clear()
            .env("PATH", names);
        let child = command.spawn(pts).expect("the shell starts");
        let shown = Arc::new(Mutex::new(String::new()));
        let (into, fd) = (shown.clone(), rustix::io::dup(&pty).expect("duplicated"));
        std::thread::spawn(move || {
            let (mut from, mut bytes) = (std::fs::File::from(fd), [0; 1024]);
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                into.lock().expect("not poisoned").push_str(&text);
            }
        });
        Session { pty, shown, child }
    }

    /// Types, and waits until what was shown ends with a text.
    #[track_caller]
    fn types(&mut self, keys: &str, expected: &str) {
        self.pty.write_all(keys.as_bytes()).expect("typed");
        let shown = &self.shown;
        until(&format!("{expected:?} is shown"), || {
            let shown = shown.lock().expect("not poisoned").clone();
            if shown.ends_with(expected) { Ok(()) } else { Err(shown) }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended of itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn a_person_types_at_a_terminal() {
    let (_folder, names) = names();
    let mut session = Session::start(&names);
    session.types("", "$ ");
    session.types("abc", "$ abc");
    // Ctrl-U takes the line back, as on any terminal.
    session.types("\u{15}echo ok\r", "echo ok\r\nok\r\n$ ");
    session.types("stty size\r", "\r\n33 101\r\n$ ");
    session.types("echo 'a\r", "> ");
    session.types("b'\r", "\r\na\r\nb\r\n$ ");
    session.types("half a line\u{3}", "^C\r\n$ ");
    session.types("echo $?\r", "\r\n130\r\n$ ");
    // A program is reached by Ctrl-C and by what is typed, and the shell stays.
    session.types("cat\r", "cat\r\n");
    session.types("line\r", "line\r\nline\r\n");
    session.types("\u{3}", "^C\r\n$ ");
    // Nothing could bring a stopped program back: Ctrl-Z is a character. What `cat` repeats shows that it
    // has the terminal.
    session.types("cat; echo no\r", "echo no\r\n");
    session.types("again\r", "again\r\nagain\r\n");
    session.types("\u{1a}\u{3}", "^C\r\n$ ");
    session.types("sh -c 'exit 5' || echo $?\r", "\r\n5\r\n$ ");
    session.types("nothing-here\r", "sh: nothing-here: not found\r\n$ ");
    session.types("a | b\r", "sh: a pipe (|) is not supported\r\n$ ");
    session.types("false\r", "false\r\n$ ");
    session.pty.write_all(b"\x04").expect("typed");
    let child = &mut session.child;
    let mut status = None;
    until("the shell ends", || {
        status = child.try_wait().expect("the shell can be asked");
        status.map(|_| ()).ok_or_else(String::new)
    });
    assert_eq!(status.and_then(|status| status.code()), Some(1));
}
