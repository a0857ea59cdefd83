//! `exec`: a command in a container, over a WebSocket.
//!
//! A container is a task here, so the command runs as a process of this machine
//! with the container's environment, in a process group of its own. With its connection ends a command on
//! pipes; one on a terminal is hung up (`SIGHUP`), and what stays all the same ends with its container.
//!
//! It sees the machine's files: there is no mount namespace. So that it finds its container's
//! volumes, paths at or below a mount path are translated to the volume's folder, as
//! [`Mounts`](crate::platform::Mounts) says: in the command's words, also within one
//! (`sh -c 'cat /chatgpt-auth/auth.json'`), in the values of the environment, `HOME` included, and in
//! the container's `workingDir`. What the command prints isn't translated back, and what files say
//! isn't translated at all: a script that is mounted finds other volumes by variables
//! (`$CHATGPT_AUTH_DIR`), not by paths of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt, future};
use http::{Method, Request};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};
use tokio_util::sync::CancellationToken;

use super::api::{Answer, Api, Query};
use super::error::ApiError;
use super::kubelet::State;
use super::object::{Object, items, text};
use super::websocket::{self, Socket};

mod process;

use process::{Command, Input, Process};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// Says that a channel has ended; v5 only.
const CLOSE: u8 = 255;

/// How often a client is asked whether it is there. Where a command doesn't read, what waits before the
/// end of a connection hides that end.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The subprotocols, the better one first. They differ only in [`CLOSE`].
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// The home of a container's user, unless its environment says another.
const HOME: &str = "/root";

/// How long output may still come when the command has ended.
const DRAIN: Duration = Duration::from_secs(1);

/// The container that a request is about: the named one, or the only one.
pub fn container_name(pod: &Object, given: Option<&str>) -> Result<String, ApiError> {
    let spec = &pod["spec"];
    let all = || items(&spec["initContainers"]).chain(items(&spec["containers"]));
    match given {
        Some(name) if all().any(|container| container["name"] == name) => Ok(name.to_string()),
        Some(name) => Err(ApiError::bad_request(format!(
            "container {name} is not valid for pod {}",
            pod.name()
        ))),
        None => {
            let names: Vec<&str> = items(&spec["containers"])
                .map(|container| text(&container["name"]))
                .collect();
            match names.as_slice() {
                [name] => Ok((*name).to_string()),
                _ => Err(ApiError::bad_request(format!(
                    "a container name must be specified for pod {}, choose one of: [{}]{}",
                    pod.name(),
                    names.join(" "),
                    or_inits(spec)
                ))),
            }
        }
    }
}

/// The init containers as the API server offers them beside the others.
fn or_inits(spec: &Value) -> String {
    let names: Vec<&str> = items(&spec["initContainers"])
        .map(|container| text(&container["name"]))
        .collect();
    if names.is_empty() {
        return String::new();
    }
    format!(" or one of the init containers: [{}]", names.join(" "))
}

/// Upgrades the connection and runs the command.
pub fn answer(api: &Arc<Api>, mut request: Request<Incoming>, query: &Query, pod: &Object) -> Answer {
    let name = container_name(pod, query.get("container"))?;
    let run = api.kubelet.pod(pod.uid());
    let container = run.and_then(|run| {
        let containers = run.containers();
        containers
            .iter()
            .find(|container| text(&container.spec["name"]) == name)
            .filter(|container| matches!(container.state, State::Running { .. }))
            .cloned()
    });
    let Some(container) = container else {
        let phase = text(&pod["status"]["phase"]);
        return Err(if matches!(phase, "Succeeded" | "Failed") {
            ApiError::bad_request(format!(
                "cannot exec into a container in a completed pod; current phase is {phase}"
            ))
        } else {
            ApiError::internal(format!(
                "unable to upgrade connection: container not found (\"{name}\")"
            ))
        });
    };
    if *request.method() != Method::GET {
        // POST is SPDY's way, which nothing here speaks. A client that was refused asks so again, and
        // shows what it is told then: what is wrong with the request itself comes before.
        return Err(ApiError::method_not_allowed());
    }
    let command = Command {
        argv: query
            .all("command")
            .map(|word| container.mounts.translate(word))
            .collect(),
        env: container.env.clone(),
        home: container.mounts.translate(HOME),
        directory: container.mounts.translate(text(&container.spec["workingDir"])),
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        tty: query.flag("tty"),
    };
    if command.argv.is_empty() {
        return Err(ApiError::bad_request(
            "you must specify at least 1 command for the container",
        ));
    }
    if !command.stdin && !command.stdout && !command.stderr {
        return Err(ApiError::bad_request(
            "you must specify at least 1 of stdin, stdout, stderr",
        ));
    }
    let (response, upgrade) = websocket::accept(&mut request, &PROTOCOLS)?;
    api.tasks.spawn(async move {
        if let Some(socket) = upgrade.await {
            session(socket, command, container.gone).await;
        }
    });
    Ok(response)
}

/// Serves one command until it, its client or its container has ended.
async fn session(socket: Socket, command: Command, gone: CancellationToken) {
    let (mut sink, mut stream) = socket.split();
    let process = match command.start().await {
        Ok(process) => process,
        Err(why) => {
            let message = format!(
                "error executing command in container: failed to exec in container: failed to start exec: OCI runtime exec failed: exec failed: unable to start container process: {why}: unknown"
            );
            let status = ApiError::internal(message).status();
            finish(
                &mut sink,
                &mut stream,
                Some(frame(STATUS, status.to_string().as_bytes())),
            )
            .await;
            return;
        }
    };
    let (output, mut outgoing) = mpsc::channel(16);
    let (input, incoming) = mpsc::channel(64);
    let Process {
        mut child,
        mut guard,
        stdin,
        stdout,
        stderr,
    } = process;
    let produce = async {
        let copies = future::join(copy(stdout, STDOUT, output.clone()), copy(stderr, STDERR, output));
        ended(&mut child, &mut guard, copies, &gone).await
    };
    let lost = CancellationToken::new();
    let deliver = async {
        let mut beat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        loop {
            let message = tokio::select! {
                message = outgoing.recv() => match message {
                    Some(message) => message,
                    None => return,
                },
                _ = beat.tick() => Message::Ping(Bytes::new()),
            };
            if sink.send(message).await.is_err() {
                lost.cancel();
                return;
            }
        }
    };
    let feed = async {
        stdin.feed(incoming).await;
        future::pending::<()>().await
    };
    let status = tokio::select! {
        (status, ()) = future::join(produce, deliver) => Some(status),
        // The client is gone: what the guard holds goes too.
        () = receive(&mut stream, input) => None,
        () = lost.cancelled() => None,
        () = feed => None,
    };
    match status {
        Some(status) => {
            let status = frame(STATUS, status.to_string().as_bytes());
            finish(&mut sink, &mut stream, Some(status)).await;
        }
        // Nobody holds the terminal any more: that has told the command.
        None if guard.has_terminal() => {
            tokio::select! {
                _status = child.wait() => {}
                () = gone.cancelled() => {}
            }
        }
        None => {}
    }
}

/// Waits for the command, then for the rest of its output; returns the `Status` to send.
async fn ended(
    child: &mut tokio::process::Child,
    guard: &mut process::Guard,
    copies: impl Future,
    gone: &CancellationToken,
) -> Value {
    tokio::pin!(copies);
    let (mut copied, mut killed) = (false, false);
    let result = loop {
        tokio::select! {
            result = child.wait() => break result,
            _ = &mut copies, if !copied => copied = true,
            () = gone.cancelled(), if !killed => {
                guard.kill();
                killed = true;
            }
        }
    };
    // What it left in the background would hold the output open.
    guard.kill();
    guard.disarm();
    if !copied {
        // Output that doesn't end belongs to a process that left the group on purpose.
        let _ = tokio::time::timeout(DRAIN, copies).await;
    }
    match result.map(process::exit_code) {
        Ok(0) => json!({ "metadata": {}, "status": "Success" }),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
        Err(why) => ApiError::internal(format!("waiting for the command: {why}")).status(),
    }
}

/// Sends what is left, closes, and waits for the client to close, so that nothing
/// is lost to a reset.
async fn finish(sink: &mut SplitSink<Socket, Message>, stream: &mut SplitStream<Socket>, last: Option<Message>) {
    let close = async {
        if let Some(last) = last {
            sink.send(last).await.ok()?;
        }
        // kubectl takes a close without a code for an error.
        let normal = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        sink.send(Message::Close(Some(normal))).await.ok()?;
        while stream.next().await.is_some_and(|message| message.is_ok()) {}
        Some(())
    };
    // A client that doesn't close has had what there was.
    let _ = tokio::time::timeout(DRAIN, close).await;
}

async fn copy(from: Option<impl AsyncRead + Unpin>, channel: u8, to: mpsc::Sender<Message>) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 32 << 10];
    // A pseudo-terminal whose other side is closed ends with an error.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if to.send(frame(channel, &buffer[..count])).await.is_err() {
            return;
        }
    }
}

pub(super) fn frame(channel: u8, data: &[u8]) -> Message {
    let mut frame = Vec::with_capacity(data.len() + 1);
    frame.push(channel);
    frame.extend_from_slice(data);
    Message::binary(frame)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Hands on what the client sends, until it closes.
async fn receive(stream: &mut SplitStream<Socket>, input: mpsc::Sender<Input>) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Binary(data) = message else {
            if message.is_close() {
                return;
            }
            continue;
        };
        let event = match data.first() {
            Some(&STDIN) if data.len() > 1 => Input::Data(data.slice(1..)),
            Some(&RESIZE) => match serde_json::from_slice::<Size>(&data[1..]) {
                Ok(Size { width, height }) => Input::Resize {
                    columns: width,
                    rows: height,
                },
                Err(_) => continue,
            },
            Some(&CLOSE) if data.get(1) == Some(&STDIN) => Input::End,
            _ => continue,
        };
        // A command that no longer reads is no reason to end.
        let _ = input.send(event).await;
    }
}
