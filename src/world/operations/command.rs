//! Runs one command of a profile.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::profile::operations::Operation;

/// The most bytes of each output of a command. More is an error.
const MOST: u64 = 8 << 20;

/// The most characters of a command's standard error in a message.
const COMPLAINT: usize = 400;

/// The exit code by which `exec` says that the command could not be run, as `docker exec` does.
const NOT_RUN: i32 = 125;

/// Why an operation was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    #[error("the profile gives no command for `{}`", .0.name())]
    NotGiven(Operation),
    #[error("no command restarts `{0}`, only `web` and `worker`")]
    NoRole(String),
    #[error("the command of `{}`, {program}, could not be started: {source}; check `operations` in the profile",
        .operation.name())]
    NotStarted {
        operation: Operation,
        program: String,
        source: std::io::Error,
    },
    #[error("the command of `{}` had not ended after {within:?}; `within` in the profile gives it more time",
        .operation.name())]
    Late { operation: Operation, within: Duration },
    #[error("the command of `{}` {how}{complaint}", .operation.name())]
    Failed {
        operation: Operation,
        how: String,
        complaint: String,
    },
    #[error("the command of `{}` printed something unexpected: {why}", .operation.name())]
    Unreadable { operation: Operation, why: String },
}

impl OperationError {
    pub(super) fn unreadable(operation: Operation, why: String) -> OperationError {
        OperationError::Unreadable { operation, why }
    }
}

/// The result of a command that ended.
pub(super) struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, with `words` appended to its own.
///
/// # Errors
/// It could not be started, did not end in time, printed too much, or ended with a code other than 0. `exec` ends with
/// the code of the command in the pod.
pub(super) async fn run(
    operation: Operation,
    argv: &[String],
    within: Duration,
    folder: &Path,
    words: &[&str],
    stdin: Option<&str>,
    variables: &[(&str, &str)],
) -> Result<Ran, OperationError> {
    let Some((program, own)) = argv.split_first() else {
        return Err(OperationError::NotGiven(operation));
    };
    // A name without a slash is looked up in PATH.
    let file = match program.contains('/') {
        true => folder.join(program),
        false => program.into(),
    };
    let child = Command::new(file)
        .args(own)
        .args(words)
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| OperationError::NotStarted {
            operation,
            program: program.clone(),
            source,
        })?;
    let ended = timeout(within, finish(child, stdin)).await;
    let ended = ended.map_err(|_| OperationError::Late { operation, within })?;
    let failed = |how: String, complaint: &str| OperationError::Failed {
        operation,
        how,
        complaint: shown(complaint),
    };
    let (status, stdout, stderr) = ended.map_err(|error| failed(format!("could not be followed: {error}"), ""))?;
    if stdout.len() as u64 > MOST || stderr.len() as u64 > MOST {
        return Err(failed(format!("printed more than {MOST} bytes"), ""));
    }
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    match status.code() {
        Some(code) if code == 0 || (operation == Operation::Exec && code != NOT_RUN) => Ok(Ran {
            code,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr,
        }),
        Some(code) => Err(failed(format!("ended with exit code {code}"), &stderr)),
        None => Err(failed("was ended by a signal".to_owned(), &stderr)),
    }
}

async fn finish(
    mut child: Child,
    input: Option<&str>,
) -> std::io::Result<(std::process::ExitStatus, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // If a command ends without reading its input, its exit code says whether it needed it.
            let _ended = stdin.write_all(input.as_bytes()).await;
            let _ended = stdin.shutdown().await;
        }
    };
    let (stdout, stderr, ()) = tokio::join!(read(stdout), read(stderr), write);
    Ok((child.wait().await?, stdout?, stderr?))
}

/// Everything, up to one byte more than allowed.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(MOST + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The end of a command's standard error, after a colon.
fn shown(complaint: &str) -> String {
    let complaint = complaint.trim();
    if complaint.is_empty() {
        return String::new();
    }
    let skipped = complaint.chars().count().saturating_sub(COMPLAINT);
    let end: String = complaint.chars().skip(skipped).collect();
    let cut = if skipped > 0 { "…" } else { "" };
    format!(": {cut}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ran(operation: Operation, script: &str, within: Duration) -> Result<Ran, String> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        let ran = run(operation, &argv, within, &std::env::temp_dir(), &[], None, &[]).await;
        ran.map_err(|error| error.to_string())
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        let error = ran(Operation::Logs, "echo no such pod >&2; exit 3", LONG).await;
        assert_eq!(
            error.err().as_deref(),
            Some("the command of `logs` ended with exit code 3: no such pod")
        );
        let error = ran(Operation::Logs, "exec sleep 60", Duration::from_millis(50)).await;
        assert!(
            error
                .err()
                .is_some_and(|error| error.contains("had not ended after 50ms"))
        );
        let error = ran(Operation::Logs, "exec yes", LONG).await;
        assert!(
            error.err().is_some_and(|error| error.contains("logs")),
            "it printed too much"
        );
    }

    #[tokio::test]
    async fn what_is_run_in_a_pod_ends_as_it_likes() {
        let ended = ran(Operation::Exec, "echo out; exit 7", LONG).await.map_err(|_| ());
        assert_eq!(ended.map(|ran| (ran.code, ran.stdout)), Ok((7, "out\n".to_owned())));
        assert!(ran(Operation::Exec, "exit 125", LONG).await.is_err());
    }

    #[test]
    fn of_a_long_complaint_the_end_is_shown() {
        assert_eq!(shown(" \n"), "");
        let long = format!("{}end", "x".repeat(1000));
        let shown = shown(&long);
        assert!(shown.ends_with("xend") && shown.starts_with(": …") && shown.chars().count() < 500);
    }
}
