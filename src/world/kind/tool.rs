//! The programs that create a cluster: `kind`, and its container engine.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::time::timeout;

/// Lines of a program's output that an error shows: what went wrong stands at the end.
const SHOWN_LINES: usize = 12;

/// Why a program did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("`{program}` is not on PATH; {help}")]
    Missing { program: &'static str, help: &'static str },
    #[error("starting `{command}`: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}` ended with {status}:\n{said}")]
    Failed {
        command: String,
        status: std::process::ExitStatus,
        said: String,
    },
    #[error("`{command}` does not finish")]
    Slow { command: String },
    #[error("`{command}` does not answer within {within:?}")]
    Silent { command: String, within: Duration },
}

/// A program that may or may not be on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    pub program: &'static str,
    /// How one comes by it.
    pub help: &'static str,
}

pub const KIND: Tool = Tool {
    program: "kind",
    help: "`go install sigs.k8s.io/kind@latest` gets it, or https://kind.sigs.k8s.io tells how",
};

pub const DOCKER: Tool = Tool {
    program: "docker",
    help: "kind runs its nodes as containers: install Docker Engine",
};

/// Time limit for commands that don't create a cluster.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

impl Tool {
    /// The same for a question: an engine that hangs is told.
    pub async fn ask<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Result<String, ToolError> {
        self.ask_within(args, ANSWERS_WITHIN).await
    }

    async fn ask_within<S: AsRef<OsStr>>(
        self,
        args: impl IntoIterator<Item = S>,
        within: Duration,
    ) -> Result<String, ToolError> {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let words = args.iter().map(|arg| arg.to_string_lossy());
        let command = std::iter::once(self.program.into())
            .chain(words)
            .collect::<Vec<_>>()
            .join(" ");
        match timeout(within, self.run(args)).await {
            Ok(answered) => answered,
            Err(_) => Err(ToolError::Silent { command, within }),
        }
    }

    /// Runs it to its end; what it wrote to standard output. It has a process group of its own: the
    /// terminal's Ctrl-C is for gauntlet, which ends what it started in order. Dropped on the way, the
    /// whole group ends.
    pub async fn run<S: AsRef<OsStr>>(self, args: impl IntoIterator<Item = S>) -> Result<String, ToolError> {
        let mut command = Command::new(self.program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let shown = shown(&command);
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ToolError::Missing {
                program: self.program,
                help: self.help,
            },
            _ => ToolError::Start {
                command: shown.clone(),
                source,
            },
        };
        let child = command.spawn().map_err(failed)?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let output = child.wait_with_output().await.map_err(failed)?;
        group.has_ended();
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            return Err(ToolError::Failed {
                command: shown,
                status: output.status,
                said: last_lines(&String::from_utf8_lossy(&said), SHOWN_LINES),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The processes of a program that runs. Dropped, they are killed.
struct Group(Option<Pid>);

impl Group {
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ended = kill_process_group(group, Signal::KILL);
        }
    }
}

fn shown(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The end of a text, indented.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let left_out = lines.len().saturating_sub(count);
    let shown: Vec<String> = lines[left_out..].iter().map(|line| format!("  {line}")).collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SH: Tool = Tool {
        program: "sh",
        help: "every machine has one",
    };

    #[tokio::test]
    async fn what_it_said_is_told() {
        assert_eq!(SH.run(["-c", "echo out; echo err >&2"]).await.expect("done"), "out\n");
        let failed = SH.run(["-c", "echo why >&2; exit 3"]).await.expect_err("failed");
        assert_eq!(
            failed.to_string(),
            "`sh -c echo why >&2; exit 3` ended with exit status: 3:\n  why"
        );
    }

    #[tokio::test]
    async fn one_that_is_not_there_says_how_to_get_it() {
        let tool = Tool {
            program: "no-such-program",
            help: "nobody has it",
        };
        let failed = tool.run(["x"]).await.expect_err("failed");
        assert_eq!(failed.to_string(), "`no-such-program` is not on PATH; nobody has it");
    }

    /// Its own children end with it.
    #[tokio::test]
    async fn dropped_it_ends_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let (pid, pipe) = (folder.path().join("pid"), folder.path().join("pipe"));
        let script = format!(
            "mkfifo {0}; sh -c 'echo $$ > {1}; cat {0}' & wait",
            pipe.display(),
            pid.display()
        );
        let running = tokio::spawn(async move { SH.run(["-c", &script]).await.map(drop) });
        let started = tokio::time::Instant::now();
        let soon = || assert!(started.elapsed() < std::time::Duration::from_secs(30), "in time");
        let grandchild = loop {
            soon();
            let text = std::fs::read_to_string(&pid).unwrap_or_default();
            match text.trim().parse() {
                Ok(id) => break Pid::from_raw(id).expect("a process"),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        running.abort();
        while rustix::process::test_kill_process(grandchild).is_ok() {
            soon();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn the_end_of_what_was_said() {
        assert_eq!(last_lines("a\n\nb\nc\n", 2), "  b\n  c");
        assert_eq!(last_lines("", 2), "");
    }

    #[tokio::test]
    async fn what_does_not_answer_is_told() {
        let asleep = Tool {
            program: "sleep",
            help: "",
        };
        let asked = asleep.ask_within(["1000"], Duration::from_millis(50)).await;
        let told = asked.expect_err("it sleeps").to_string();
        assert_eq!(told, "`sleep 1000` does not answer within 50ms");
    }
}
