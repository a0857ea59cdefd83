//! The opening handshake (RFC 6455 §4): one request, written once for all attaches but for its key, and the answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Longest head of an answer that is read.
pub const LONGEST: usize = 16 * 1024;

/// Header fields of an answer that are read.
const FIELDS: usize = 256;

/// A request for an upgrade, whole but for its key.
#[derive(Clone)]
pub struct Request {
    before: Vec<u8>,
}

impl Request {
    /// For a path with its query, as they go onto the wire.
    pub fn new(host: &str, target: &str, headers: &[(String, String)]) -> Request {
        let mut before = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nCache-Control: no-store\r\n"
        );
        for (name, value) in headers {
            before.push_str(&format!("{name}: {value}\r\n"));
        }
        before.push_str("Sec-WebSocket-Key: ");
        Request {
            before: before.into_bytes(),
        }
    }

    /// Appends the request with a key.
    pub fn write(&self, nonce: [u8; 16], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.before);
        out.extend_from_slice(key(nonce).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
    }
}

fn key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// A server's answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The head isn't whole yet.
    Part,
    /// `101`, rightly: the terminal is open. The head's length.
    Open(usize),
    /// Another status.
    Status(u16),
    /// `101` without what makes it one (RFC 6455 §4.1), or no HTTP at all.
    Broken(&'static str),
}

/// Reads an answer to the request that was sent with this nonce. Interim answers before it are passed over (RFC 9110
/// §15.2).
pub fn read(bytes: &[u8], nonce: [u8; 16]) -> Answer {
    let mut begin = 0;
    loop {
        match read_one(&bytes[begin..], nonce) {
            (Answer::Status(100 | 102..=199), length) => begin += length,
            (Answer::Open(length), _) => return Answer::Open(begin + length),
            (answer, _) => return answer,
        }
    }
}

/// Reads one answer; returns its head's length as well, once it is whole.
fn read_one(bytes: &[u8], nonce: [u8; 16]) -> (Answer, usize) {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > LONGEST => return (Answer::Broken("an endless head"), 0),
        Ok(httparse::Status::Partial) => return (Answer::Part, 0),
        Err(httparse::Error::TooManyHeaders) => return (Answer::Broken("an answer with too many header fields"), 0),
        Err(_) => return (Answer::Broken("no HTTP/1.1 response"), 0),
    };
    let answer = match response.code {
        Some(101) => upgraded(&response, length, nonce),
        Some(status) => Answer::Status(status),
        None => Answer::Broken("no HTTP/1.1 response"),
    };
    (answer, length)
}

/// Whether a 101 is one (RFC 6455 §4.1).
fn upgraded(response: &httparse::Response<'_, '_>, length: usize, nonce: [u8; 16]) -> Answer {
    let field = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name));
        found.map(|field| field.value.trim_ascii())
    };
    if !field("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Answer::Broken("a 101 that upgrades to no WebSocket");
    }
    let options = field("connection").unwrap_or_default();
    if !options
        .split(|byte| *byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    {
        return Answer::Broken("a 101 without Connection: Upgrade");
    }
    match field("sec-websocket-accept") {
        Some(accept) if accept == derive_accept_key(key(nonce).as_bytes()).as_bytes() => {}
        Some(_) => return Answer::Broken("a 101 with another connection's Sec-WebSocket-Accept"),
        None => return Answer::Broken("a 101 without Sec-WebSocket-Accept"),
    }
    if field("sec-websocket-extensions").is_some_and(|value| !value.is_empty()) {
        return Answer::Broken("a 101 with an extension that wasn't offered");
    }
    Answer::Open(length)
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::handshake::server::create_response;

    use super::*;

    const NONCE: [u8; 16] = *b"the sample nonce";

    /// RFC 6455 §1.3.
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn answer(head: &str) -> Answer {
        read(head.replace('\n', "\r\n").as_bytes(), NONCE)
    }

    #[test]
    fn a_right_answer_opens() {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\nupgrade: WebSocket\nConnection: Upgrade\nSec-WebSocket-Accept: {ACCEPT}\n\n"
        );
        let length = head.replace('\n', "\r\n").len();
        assert_eq!(answer(&format!("{head}frames")), Answer::Open(length));
        for cut in 0..length {
            assert_eq!(read(&head.replace('\n', "\r\n").as_bytes()[..cut], NONCE), Answer::Part);
        }
    }

    #[test]
    fn anything_else_does_not() {
        let upgrade = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: keep-alive, Upgrade\n";
        let cases = [
            ("HTTP/1.1 401 Unauthorized\n\n".to_owned(), Answer::Status(401)),
            ("HTTP/1.1 200 OK\n\n".into(), Answer::Status(200)),
            (
                "HTTP/1.1 101 OK\n\n".into(),
                Answer::Broken("a 101 that upgrades to no WebSocket"),
            ),
            (
                "HTTP/1.1 101 OK\nUpgrade: websocket\n\n".into(),
                Answer::Broken("a 101 without Connection: Upgrade"),
            ),
            (
                format!("{upgrade}\n"),
                Answer::Broken("a 101 without Sec-WebSocket-Accept"),
            ),
            (
                format!("{upgrade}Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"),
                Answer::Broken("a 101 with another connection's Sec-WebSocket-Accept"),
            ),
            (
                format!("{upgrade}Sec-WebSocket-Accept: {ACCEPT}\nSec-WebSocket-Extensions: permessage-deflate\n\n"),
                Answer::Broken("a 101 with an extension that wasn't offered"),
            ),
            ("SSH-2.0-OpenSSH_9.6\n".into(), Answer::Broken("no HTTP/1.1 response")),
            (
                format!("HTTP/1.1 200 OK\nX: {}", "x".repeat(LONGEST)),
                Answer::Broken("an endless head"),
            ),
        ];
        for (head, expected) in cases {
            assert_eq!(answer(&head), expected, "{head:.60}");
        }
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let hints = "HTTP/1.1 103 Early Hints\nLink: </style.css>\n\n";
        assert_eq!(
            answer(&format!("{hints}{hints}HTTP/1.1 401 Unauthorized\n\n")),
            Answer::Status(401)
        );
        assert_eq!(answer(hints), Answer::Part);
        let open = format!(
            "{hints}HTTP/1.1 101 OK\nUpgrade: websocket\nConnection: upgrade\nSec-WebSocket-Accept: {ACCEPT}\n\n"
        );
        assert_eq!(answer(&open), Answer::Open(open.replace('\n', "\r\n").len()));
    }

    /// A server's own code takes the request, and its answer is taken.
    #[test]
    fn the_request_is_a_handshake() {
        let mut out = Vec::new();
        Request::new(
            "127.0.0.1:4096",
            "/tty?token=x",
            &[("Origin".into(), "http://a".into())],
        )
        .write(NONCE, &mut out);
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        assert!(parsed.parse(&out).expect("sound").is_complete());
        let mut request = http::Request::builder().uri(parsed.path.expect("a path"));
        for field in parsed.headers.iter() {
            request = request.header(field.name, field.value);
        }
        let response = create_response(&request.body(()).expect("a request")).expect("taken");
        assert_eq!(response.headers()["sec-websocket-accept"], ACCEPT);
    }
}
