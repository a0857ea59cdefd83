//! A container engine that answers as a test wants: on a socket of its own, with what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Status, type and body of an answer.
pub type Answer = (u16, &'static str, Vec<u8>);

/// An answer as JSON.
pub fn json(status: u16, body: &str) -> Answer {
    (status, "application/json", body.as_bytes().to_vec())
}

/// What a container wrote to standard error, as the engine sends it: a header of eight bytes before each part.
pub fn written(text: &str) -> Answer {
    let length = u32::try_from(text.len()).expect("a short text");
    let mut body = vec![2, 0, 0, 0];
    body.extend(length.to_be_bytes());
    body.extend(text.as_bytes());
    (200, "application/vnd.docker.multiplexed-stream", body)
}

/// An engine, as long as the test runs.
pub struct Engine {
    /// For DOCKER_HOST.
    pub host: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    /// Answers each request, `GET /images/nginx/json`, by this.
    pub fn start(folder: &Path, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Engine {
        let socket = folder.join("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, heard) = (Arc::new(answer), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, answer, heard) = (stream.expect("a connection"), answer.clone(), heard.clone());
                std::thread::spawn(move || serve(stream, &*answer, &heard));
            }
        });
        Engine {
            host: format!("unix://{}", socket.display()),
            asked,
        }
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// Whether a request began so.
    pub fn was_asked(&self, beginning: &str) -> bool {
        self.asked().iter().any(|asked| asked.starts_with(beginning))
    }
}

/// One request of a connection. The client may be gone before it hears of it.
fn serve(stream: UnixStream, answer: &dyn Fn(&str) -> Answer, heard: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(1..) if !line.trim().is_empty() => lines.push(line.trim().to_owned()),
            Ok(1..) => break,
            _ => return,
        }
    }
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut words = lines[0].split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // `/v1.52/_ping`
    let path = match target.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
        Some((_, path)) => format!("/{path}"),
        None => target.to_owned(),
    };
    let asked = format!("{method} {path}");
    heard.lock().expect("not poisoned").push(asked.clone());
    let (status, kind, body) = answer(&asked);
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = reader.into_inner();
    let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
