//! A failing access control: a gateway must let nobody through then.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::{ComponentError, Pod};

/// How it answers each question, of the contract's row `authz/down`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Error,
    Slow,
    Reset,
    Redirect,
    Garbage,
    Informational,
    NoContent,
    HugeHeaders,
}

/// How late a slow answer is: later than any gateway waits.
const SLOW: Duration = Duration::from_secs(30);

/// How long a gateway may take to send its question.
const QUESTION_WITHIN: Duration = Duration::from_secs(10);

/// The longest head of a question.
const MAX_HEAD: usize = 64 * 1024;

impl Fault {
    /// The one of that name; none for the empty one.
    pub fn named(name: &str) -> Result<Option<Fault>, ComponentError> {
        Ok(Some(match name {
            "" => return Ok(None),
            "error" => Fault::Error,
            "slow" => Fault::Slow,
            "reset" => Fault::Reset,
            "redirect" => Fault::Redirect,
            "garbage" => Fault::Garbage,
            "informational" => Fault::Informational,
            "no-content" => Fault::NoContent,
            "huge-headers" => Fault::HugeHeaders,
            other => return Err(ComponentError(format!("there is no FAULT {other:?}"))),
        }))
    }

    /// The whole answer; none if the connection is reset in its place.
    fn answer(self) -> Option<String> {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n";
        Some(match self {
            Fault::Error => {
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()
            }
            Fault::Slow => format!("{ok}\r\n"),
            Fault::Reset => return None,
            Fault::Redirect => {
                "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()
            }
            Fault::Garbage => "200 OK, come in\r\n\r\n".into(),
            Fault::Informational => {
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".into()
            }
            Fault::NoContent => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".into(),
            Fault::HugeHeaders => format!("{ok}X-Padding: {}\r\n\r\n", "x".repeat(1 << 20)),
        })
    }
}

/// Answers every question so, and `/healthz` as if nothing were wrong, until the pod is asked to stop.
pub async fn serve(pod: &Pod, listener: TcpListener, fault: Fault) -> Result<(), ComponentError> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(answer(stream, fault));
            },
            _ended = connections.join_next(), if !connections.is_empty() => {}
            () = pod.stop.cancelled() => return Ok(()),
        }
    }
}

async fn answer(mut stream: TcpStream, fault: Fault) {
    let Ok(Some(head)) = timeout(QUESTION_WITHIN, head(&mut stream)).await else {
        return;
    };
    if head.starts_with(b"GET /healthz ") {
        let healthy = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        // Whoever asked may be gone.
        let _gone = stream.write_all(healthy.as_bytes()).await;
        return;
    }
    if fault == Fault::Slow {
        sleep(SLOW).await;
    }
    match fault.answer() {
        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
        // Closed so, the other side gets a RST.
        None => drop(stream.set_zero_linger()),
    }
}

/// The head of a request; none if the connection ends before it.
async fn head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}
