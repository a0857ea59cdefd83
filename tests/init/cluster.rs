//! A cluster of which there is only what its API server lists.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

/// Answers by path; what has none isn't known to the cluster.
pub struct Cluster {
    pub port: u16,
}

/// What a path is answered with.
pub enum Said {
    Object(Value),
    /// The items of a list.
    Items(Value),
    Forbidden,
}

impl Cluster {
    /// Serves what `paths` makes of the server's port, at which there is also a door: `/`, where all are refused.
    pub fn serving(paths: impl FnOnce(u16) -> BTreeMap<&'static str, Said>) -> Cluster {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let paths = Arc::new(paths(port));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let paths = paths.clone();
                std::thread::spawn(move || serve(stream, &paths));
            }
        });
        Cluster { port }
    }

    /// Writes a kubeconfig that leads to it.
    pub fn kubeconfig(&self, file: &Path) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: listed\n\
             clusters: [{{ name: listed, cluster: {{ server: \"http://127.0.0.1:{}\" }} }}]\n\
             contexts: [{{ name: listed, context: {{ cluster: listed, user: nobody, namespace: agents }} }}]\n\
             users: [{{ name: nobody, user: {{}} }}]\n",
            self.port
        );
        std::fs::write(file, text).expect("written");
    }
}

/// Answers the requests of a connection, one after the other.
fn serve(stream: TcpStream, paths: &BTreeMap<&'static str, Said>) {
    let mut writer = stream.try_clone().expect("cloned");
    let mut reader = BufReader::new(stream);
    loop {
        // The beginning of TLS, which isn't spoken here.
        if reader.fill_buf().is_ok_and(|begun| begun.first() == Some(&0x16)) {
            return;
        }
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(1..) if line == "\r\n" => break,
                Ok(1..) => head.push(line.trim_end().to_owned()),
                _ => return,
            }
        }
        let target = head[0].split(' ').nth(1).expect("a target");
        let path = target.split('?').next().expect("a path");
        let (status, body) = answer(path, paths);
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(path: &str, paths: &BTreeMap<&'static str, Said>) -> (u16, Value) {
    let failure = |code: u16, reason: &str, message: String| {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "message": message, "code": code,
        });
        (code, status)
    };
    match paths.get(path) {
        // Nobody asks an API server for this, but a door.
        _ if path == "/" => (401, json!("who are you?")),
        _ if path == "/version" => {
            let version = json!({
                "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
            });
            (200, version)
        }
        Some(Said::Object(object)) => (200, object.clone()),
        Some(Said::Items(items)) => {
            let list = json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": items });
            (200, list)
        }
        Some(Said::Forbidden) => failure(403, "Forbidden", format!("nobody may list {path}")),
        None => failure(
            404,
            "NotFound",
            "the server could not find the requested resource".to_owned(),
        ),
    }
}
