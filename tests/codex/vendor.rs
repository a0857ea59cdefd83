//! The vendor as a process, and rotators that refresh logins at it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;

use super::rotators::put;
use crate::binary::{DEADLINE, Running, component, gauntlet_with_signals};

/// The vendor as a process.
pub struct Vendor {
    pub address: SocketAddr,
    _running: Running,
}

impl Vendor {
    pub fn start() -> Vendor {
        let (running, address) = component("vendor", &[("GAUNTLET_LISTEN", "127.0.0.1")]);
        Vendor {
            address,
            _running: running,
        }
    }

    pub fn asked(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect_timeout(&self.address, DEADLINE).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("set");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: vendor\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// How each refresh so far has ended.
    pub fn refreshes(&self) -> Vec<String> {
        let records = self.asked("GET", "/control/records", "");
        let all = records["refreshes"].as_array().expect("a list").iter();
        all.map(|one| one["outcome"].as_str().expect("an outcome").to_owned())
            .collect()
    }

    /// A rotator of a folder as a process of its own, which looks each 5 ms.
    pub fn rotator(&self, folder: &Path, mutants: &str) -> Running {
        self.rotator_with(folder, &[("GAUNTLET_MUTANTS", mutants)])
    }

    /// The same with these variables.
    pub fn rotator_with(&self, folder: &Path, variables: &[(&str, &str)]) -> Running {
        let mut command = gauntlet_with_signals();
        command
            .args(["platform", "codex-auth-rotator"])
            .env("CHATGPT_AUTH_DIR", folder)
            .env("CODEX_ROTATION_INTERVAL_SEC", "3600")
            .env("CODEX_ROTATION_POLL_SEC", "0.005")
            .env("CODEX_ISSUER", format!("http://{}", self.address))
            .env_remove("GAUNTLET_MUTANTS")
            .envs(variables.iter().copied());
        Running::start(&mut command).expect("gauntlet starts")
    }

    /// Puts an expired login that can be refreshed into a folder, as account 1.
    pub fn expired(&self, folder: &Path) {
        let issued = self.asked("POST", "/control/issue", r#"{"account":"acct-1","ttl":-60}"#);
        put(
            folder,
            "auth-1.json",
            &serde_json::json!({ "tokens": issued }).to_string(),
        );
    }
}
