//! What the tests of the binary share: starting it, waiting for what it says, ending it.

pub mod faulty;
pub mod tls_door;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything: a slow machine, not a hang.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Scenarios of the tests' own: `mine/token/quick` passes, `wrong` fails, `long` never comes to its end.
pub const MINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run");

/// A folder to run in.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A report.
#[track_caller]
pub fn json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The binary, with nothing to read and nothing of the surroundings that changes its output.
pub fn gauntlet() -> Command {
    without_surroundings(Command::new(env!("CARGO_BIN_EXE_gauntlet")))
}

/// The same with no signal ignored: tests may themselves run under `nohup`, or behind a shell's `&`.
pub fn gauntlet_with_signals() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_gauntlet")]);
    without_surroundings(command)
}

/// A command with nothing to read, and nothing of the surroundings that changes gauntlet's output.
pub fn without_surroundings(mut command: Command) -> Command {
    command.stdin(Stdio::null());
    for name in [
        "NO_COLOR",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
        "COLUMNS",
        "GAUNTLET_LOG",
        "KUBERNETES_SERVICE_HOST",
        "GITHUB_ACTIONS",
        "GITHUB_STEP_SUMMARY",
    ] {
        command.env_remove(name);
    }
    command
}

pub fn node_image() -> Vec<String> {
    // The machine's own, where kind's default can't be had.
    std::env::var("GAUNTLET_NODE_IMAGE").map_or_else(|_| Vec::new(), |image| vec!["--image".to_owned(), image])
}

/// Runs it in a folder to its end.
pub fn run_in(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = gauntlet();
    Ran::of(
        command
            .current_dir(folder)
            .args(arguments)
            .output()
            .expect("gauntlet starts"),
    )
}

/// What a process that ended left.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }

    /// Asserts the exit code, and that nothing panicked.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// A process whose output can be looked at while it runs. Dropped, it is killed.
pub struct Running {
    pub child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Running {
    pub fn start(command: &mut Command) -> std::io::Result<Running> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdout = follow(child.stdout.take().expect("a pipe"));
        let stderr = follow(child.stderr.take().expect("a pipe"));
        Ok(Running { child, stdout, stderr })
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("not poisoned").clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("not poisoned").clone()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        let (child, out) = (&mut self.child, &self.stdout);
        let mut status = None;
        until("the process ends", || {
            status = child.try_wait().expect("the process can be asked");
            match status {
                Some(_) => Ok(()),
                None => Err(out.lock().expect("not poisoned").clone()),
            }
        });
        status.expect("it has ended")
    }

    /// Sends it a signal, and nobody else.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the process is there");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended of itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn follow(mut from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = text.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            into.lock()
                .expect("not poisoned")
                .push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    });
    text
}

/// Polls until something holds; says what was waited for, and what there was instead.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let started = Instant::now();
    while let Err(instead) = holds() {
        assert!(
            started.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}; there is:\n{instead}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The text of all files below a folder, with their paths.
pub fn files_below(folder: &Path) -> Vec<(std::path::PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("the file can be read");
                files.push((path, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    files
}

/// A component of the platform as a process with these variables, and the address of its door.
pub fn component(name: &str, variables: &[(&str, &str)]) -> (Running, SocketAddr) {
    // A port that is free now may be taken by the time that it listens: then another one.
    for _ in 0..10 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let mut command = gauntlet();
        command
            .args(["platform", name])
            .env("PORT", address.port().to_string())
            .envs(variables.iter().copied())
            .env_remove("GAUNTLET_MUTANTS");
        let mut running = Running::start(&mut command).expect("gauntlet starts");
        let mut taken = false;
        until("it listens", || {
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
            return (running, address);
        }
    }
    panic!("no port stays free");
}
