//! Measures refusals one by one: from writing the request to the answer's first byte.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::super::answer::{head_end, status};
use super::super::context::StepContext;
use super::super::handshake::{UpgradeHead, upgrade_head};
use super::super::observation::StepError;
use super::super::wire::{self, Connected, Recorded};
use crate::world::Door;

/// Bytes of an answer that are read; what is longer costs the connection.
const ANSWER_READ: usize = 64 * 1024;

/// An answer to a wrong token.
pub struct Refused {
    pub status: u16,
    /// From before the request was written to the first byte of the answer.
    pub after: Duration,
    /// Head and body.
    pub text: Vec<u8>,
}

impl Refused {
    /// It wasn't a refusal.
    pub fn opened(&self) -> bool {
        self.status == 101
    }
}

/// An upgrade request with this token in the query's `parameter`.
pub fn request(parameter: &str, token: &str, path: &str, host: &str) -> Vec<u8> {
    let headers = [("Cache-Control".to_owned(), Some("no-store".to_owned()))]
        .into_iter()
        .collect();
    let upgrade = UpgradeHead {
        token: Some(token.to_owned()),
        headers,
        ..UpgradeHead::default()
    };
    upgrade_head(&upgrade, path, parameter, host).into_bytes()
}

/// Asks a door, over one connection for as long as it is kept open.
///
/// A kept connection has the least noise: nothing is accepted, no task started.
/// Where the door keeps none, every request has a new one. The first answer on
/// a new connection is measured only then, so that one sample has one kind.
pub struct Probe<'a> {
    door: &'a Door,
    context: &'a StepContext,
    kept: Option<Box<Recorded>>,
    /// Whether the door was ever seen to answer a second request on a connection.
    keeps: bool,
}

impl<'a> Probe<'a> {
    pub fn new(door: &'a Door, context: &'a StepContext) -> Probe<'a> {
        Probe {
            door,
            context,
            kept: None,
            keeps: false,
        }
    }

    /// One answer and its time.
    pub async fn refused(&mut self, request: &[u8]) -> Result<Refused, StepError> {
        if let Some(stream) = self.kept.take() {
            // A connection may have been closed since: that is nobody's fault, and a new one is made.
            if let Some(refused) = self.exchange(stream, request).await? {
                self.keeps = true;
                return Ok(refused);
            }
        }
        let first = self.on_new_connection(request).await?;
        match (self.keeps, self.kept.take()) {
            (true, Some(stream)) => match self.exchange(stream, request).await? {
                Some(refused) => Ok(refused),
                None => Ok(first),
            },
            (_, kept) => {
                self.kept = kept;
                Ok(first)
            }
        }
    }

    async fn on_new_connection(&mut self, request: &[u8]) -> Result<Refused, StepError> {
        match wire::connect(self.door, &self.context.world.trust, &self.context.limits).await? {
            Connected::Refused(refused) => Err(StepError::Because(refused)),
            Connected::Yes(stream) => self
                .exchange(stream, request)
                .await?
                .ok_or_else(|| StepError::Because("the connection was closed without an answer".into())),
        }
    }

    /// `None`: the connection was closed before an answer began.
    async fn exchange(&mut self, mut stream: Box<Recorded>, request: &[u8]) -> Result<Option<Refused>, StepError> {
        let limit = self.context.limits.answer;
        match timeout(limit, exchange(&mut stream, request)).await {
            Err(_) => Err(StepError::Because(format!("no whole answer within {limit:?}"))),
            Ok(Err(error)) => {
                StepError::unless_exhausted(format!("asking {}", self.door.address), &error)?;
                Ok(None)
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some((refused, whole)))) => {
                if whole && !refused.opened() {
                    self.kept = Some(stream);
                }
                match refused.status {
                    0 => Err(StepError::Because("the response isn't HTTP".into())),
                    _ => Ok(Some(refused)),
                }
            }
        }
    }
}

/// Writes a request and reads its answer; tells too whether the connection can take another one.
async fn exchange(stream: &mut Recorded, request: &[u8]) -> io::Result<Option<(Refused, bool)>> {
    let mut text = Vec::with_capacity(4096);
    let start = Instant::now();
    stream.write_all(request).await?;
    stream.flush().await?;
    if stream.read_buf(&mut text).await? == 0 {
        return Ok(None);
    }
    let after = start.elapsed();
    let whole = loop {
        match end(&text) {
            End::At(end) if text.len() >= end => break text.len() == end && !closes(&text),
            End::Unknown => break false,
            _ if text.len() > ANSWER_READ => break false,
            _ => {}
        }
        match stream.read_buf(&mut text).await {
            Ok(0) | Err(_) => break false,
            Ok(_) => {}
        }
    };
    Ok(Some((
        Refused {
            status: status(&text).unwrap_or(0),
            after,
            text,
        },
        whole,
    )))
}

/// Where an answer ends.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Its head is not all there yet.
    Later,
    At(usize),
    /// It says no length: chunks, or the connection's end. That is not worth the reading of chunks.
    Unknown,
}

fn end(text: &[u8]) -> End {
    let Some(head) = head_end(text) else { return End::Later };
    match header(&text[..head], "content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => End::At(head.saturating_add(length)),
        None => End::Unknown,
    }
}

fn closes(text: &[u8]) -> bool {
    header(text, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

/// A header's value.
fn header(text: &[u8], name: &str) -> Option<String> {
    String::from_utf8_lossy(text)
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_answer() {
        assert_eq!(end(b"HTTP/1.1 401 U\r\nContent-Le"), End::Later);
        assert_eq!(end(b"HTTP/1.1 401 U\r\ncontent-length: 2\r\n\r\nhi"), End::At(39));
        assert_eq!(end(b"HTTP/1.1 401 U\r\n\r\nContent-Length: 2"), End::Unknown);
    }

    #[test]
    fn a_connection_that_is_to_be_closed() {
        assert!(closes(b"HTTP/1.1 401 U\r\nConnection: Close\r\n\r\n"));
        assert!(!closes(b"HTTP/1.1 401 U\r\n\r\nConnection: close"));
    }

    #[test]
    fn tokens_stand_in_the_query() {
        let text = String::from_utf8(request("key", "a b", "/tty", "there")).expect("text");
        assert!(
            text.starts_with("GET /tty?key=a%20b HTTP/1.1\r\nHost: there\r\n"),
            "{text}"
        );
        assert!(
            text.contains("Cache-Control: no-store\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
    }
}
