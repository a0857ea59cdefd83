//! The process of an exec: on pipes or on a pseudo-terminal.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc;

use crate::platform::terminal_session::session_members;

/// What images set; a container's own value comes first.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How often a file that is busy is tried, and how long it has in between. A script that a volume has just
/// got can't be run while a process that was started meanwhile has yet to let go of its writer's descriptor,
/// which nothing tells.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// The command to run, and its streams.
pub struct Command {
    pub argv: Vec<String>,
    pub env: Arc<BTreeMap<String, String>>,
    /// `HOME`, where `env` has none.
    pub home: String,
    /// Empty for the root directory.
    pub directory: String,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A command that runs.
pub struct Process {
    pub child: Child,
    pub guard: Guard,
    pub stdin: Stdin,
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
}

/// What the client sends to the command.
pub enum Input {
    Data(Bytes),
    Resize { columns: u16, rows: u16 },
    End,
}

/// Where the client's input goes.
pub enum Stdin {
    None,
    Pipe(ChildStdin),
    /// With whether keystrokes are taken; the size always is.
    Terminal(pty_process::OwnedWritePty, bool),
}

/// Why a program could not be run, as a container runtime says it.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("exec: \"{program}\": stat {program}: no such file or directory")]
    NoFile { program: String },
    #[error("exec: \"{program}\": executable file not found in $PATH")]
    NotOnPath { program: String },
    #[error("exec: \"{program}\": permission denied")]
    Denied { program: String },
    #[error("exec: \"{program}\": {source}")]
    System { program: String, source: io::Error },
}

impl Command {
    /// # Errors
    /// The program could not be run.
    pub async fn start(&self) -> Result<Process, RunError> {
        let program = self.argv[0].clone();
        let mut tries = 1;
        let spawned = loop {
            match self.spawn() {
                Err(why) if why.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                    tries += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                spawned => break spawned,
            }
        };
        spawned.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if program.contains('/') => RunError::NoFile { program },
            io::ErrorKind::NotFound => RunError::NotOnPath { program },
            io::ErrorKind::PermissionDenied => RunError::Denied { program },
            _ => RunError::System { program, source },
        })
    }

    fn spawn(&self) -> io::Result<Process> {
        let mut command = tokio::process::Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", &self.home);
        if self.tty {
            command.env("TERM", "xterm");
        }
        command.envs(self.env.iter()).kill_on_drop(true);
        command.current_dir(if self.directory.is_empty() {
            "/"
        } else {
            &self.directory
        });
        if self.tty {
            self.on_terminal(command)
        } else {
            self.on_pipes(command)
        }
    }

    fn on_pipes(&self, mut command: tokio::process::Command) -> io::Result<Process> {
        let piped = |wanted| {
            if wanted { Stdio::piped() } else { Stdio::null() }
        };
        command
            .stdin(piped(self.stdin))
            .stdout(piped(self.stdout))
            .stderr(piped(self.stderr))
            .process_group(0);
        let mut child = command.spawn()?;
        Ok(Process {
            guard: Guard::new(&child, false),
            stdin: child.stdin.take().map_or(Stdin::None, Stdin::Pipe),
            stdout: child.stdout.take().map(|out| Box::new(out) as _),
            stderr: child.stderr.take().map(|out| Box::new(out) as _),
            child,
        })
    }

    fn on_terminal(&self, command: tokio::process::Command) -> io::Result<Process> {
        let (pty, pts) = pty_process::open().map_err(terminal_error)?;
        pty.resize(pty_process::Size::new(24, 80)).map_err(terminal_error)?;
        let child = pty_process::Command::from(command).spawn(pts).map_err(terminal_error)?;
        let (output, input) = pty.into_split();
        Ok(Process {
            guard: Guard::new(&child, true),
            stdin: Stdin::Terminal(input, self.stdin),
            // Read also where nobody wants it: a full terminal would stop the command.
            stdout: Some(Box::new(output)),
            stderr: None,
            child,
        })
    }
}

fn terminal_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl Stdin {
    /// Writes what comes until it ends; the command then reads the end of its input.
    pub async fn feed(self, mut input: mpsc::Receiver<Input>) {
        match self {
            Stdin::None => {}
            Stdin::Pipe(mut pipe) => {
                while let Some(event) = input.recv().await {
                    match event {
                        Input::Data(data) => {
                            if pipe.write_all(&data).await.is_err() {
                                return;
                            }
                        }
                        // A pipe has no size.
                        Input::Resize { .. } => {}
                        Input::End => return,
                    }
                }
            }
            Stdin::Terminal(mut terminal, keystrokes) => {
                while let Some(event) = input.recv().await {
                    match event {
                        Input::Data(data) if keystrokes => {
                            if terminal.write_all(&data).await.is_err() {
                                return;
                            }
                        }
                        Input::Resize { columns, rows } => {
                            // A terminal that is closing has no size to change.
                            let _ = terminal.resize(pty_process::Size::new(rows, columns));
                        }
                        Input::Data(_) | Input::End => {}
                    }
                }
            }
        }
    }
}

/// Kills a command with all that it started, also when dropped.
pub struct Guard {
    leader: Option<Pid>,
    /// Whether the leader leads a session, in which a shell makes more groups.
    session: bool,
}

impl Guard {
    fn new(child: &Child, session: bool) -> Guard {
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Guard { leader, session }
    }

    pub fn has_terminal(&self) -> bool {
        self.session
    }

    pub fn kill(&self) {
        let Some(leader) = self.leader else { return };
        // An error means that nobody is left.
        if self.session {
            for member in session_members(leader) {
                let _ = kill_process(member, Signal::KILL);
            }
        }
        let _ = kill_process_group(leader, Signal::KILL);
    }

    /// From here on the number may be another process's.
    pub fn disarm(&mut self) {
        self.leader = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The exit code as a shell would say it: 128 + N for signal N.
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
