//! Reads answers, and says why there is none.

use std::error::Error;
use std::io;

use goose::goose::TransactionError;
use serde_json::Value;

use crate::load::failure::Failure;

/// How much of an answer is kept; the rest is read and discarded.
const BODY: usize = 4 << 20;

/// Why a request has no answer that is of any use.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The platform's, or the network's.
    #[error("timed out")]
    TimedOut,
    /// The platform's, unless this machine lacks something.
    #[error("{0}")]
    Socket(Failure),
    #[error("{doing}: {cause}")]
    Cut {
        doing: &'static str,
        /// In words, without addresses.
        cause: String,
    },
    /// This machine's: nothing was sent.
    #[error("goose: {0}")]
    Goose(#[source] Box<TransactionError>),
    #[error(transparent)]
    Wrong(#[from] WrongAnswer),
}

/// What the platform's answer should have held.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongAnswer {
    #[error("the answer isn't JSON")]
    NotJson,
    #[error("the answer has no list in `data`")]
    WithoutList,
    #[error("the answer has no `id`")]
    WithoutId,
    #[error("the answer's `id` can't stand in a path")]
    UnfitId,
    #[error("the answer has no `status`")]
    WithoutStatus,
}

/// Reads an answer to its end.
pub async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, NoAnswer> {
    let mut kept = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        let room = BODY - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(kept)
}

/// Why there is no answer, by kind: no address and no port, which would make each one a kind of its own.
pub fn failure(error: &reqwest::Error) -> NoAnswer {
    if error.is_timeout() {
        return NoAnswer::TimedOut;
    }
    let mut cause: &(dyn Error + 'static) = error;
    loop {
        let of_system = cause
            .downcast_ref::<io::Error>()
            .filter(|error| error.raw_os_error().is_some());
        if let Some(error) = of_system {
            return NoAnswer::Socket(Failure::from_io(error));
        }
        match cause.source() {
            Some(deeper) => cause = deeper,
            None => break,
        }
    }
    let doing = match (error.is_connect(), error.is_body() || error.is_decode()) {
        (true, _) => "connecting",
        (_, true) => "reading the answer",
        _ => "asking",
    };
    NoAnswer::Cut {
        doing,
        cause: cause.to_string(),
    }
}

fn parsed(body: &[u8]) -> Result<Value, WrongAnswer> {
    serde_json::from_slice(body).map_err(|_| WrongAnswer::NotJson)
}

/// The first agent of a list, if any.
pub fn first_agent(body: &[u8]) -> Result<Option<String>, WrongAnswer> {
    let answer = parsed(body)?;
    let agents = answer["data"].as_array().ok_or(WrongAnswer::WithoutList)?;
    agents.first().map(id).transpose()
}

pub fn id_of(body: &[u8]) -> Result<String, WrongAnswer> {
    id(&parsed(body)?)
}

/// An id that can stand in a path.
fn id(of: &Value) -> Result<String, WrongAnswer> {
    let id = of["id"].as_str().ok_or(WrongAnswer::WithoutId)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !id.is_empty() && id.chars().all(plain) {
        true => Ok(id.to_owned()),
        false => Err(WrongAnswer::UnfitId),
    }
}

pub fn status_of(body: &[u8]) -> Result<String, WrongAnswer> {
    let answer = parsed(body)?;
    let status = answer["status"].as_str().ok_or(WrongAnswer::WithoutStatus)?;
    Ok(status.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_have_to_hold() {
        let agents = |body: &str| first_agent(body.as_bytes());
        assert_eq!(agents(r#"{"data":[{"id":"a1"},{"id":"a2"}]}"#), Ok(Some("a1".into())));
        assert_eq!(agents(r#"{"data":[]}"#), Ok(None));
        assert_eq!(agents("[]"), Err(WrongAnswer::WithoutList));
        assert_eq!(agents("<html>"), Err(WrongAnswer::NotJson));
        assert_eq!(id_of(br#"{"id":"s-1_2"}"#), Ok("s-1_2".into()));
        for no_path in [r#"{"id":""}"#, r#"{"id":"../x"}"#, r#"{"id":"a?b"}"#] {
            assert_eq!(id_of(no_path.as_bytes()), Err(WrongAnswer::UnfitId), "{no_path}");
        }
        assert_eq!(id_of(br#"{"id":1}"#), Err(WrongAnswer::WithoutId));
        assert_eq!(status_of(br#"{"status":"ready"}"#), Ok("ready".into()));
    }
}
