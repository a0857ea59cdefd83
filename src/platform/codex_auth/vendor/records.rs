//! What the vendor has been asked. No token is in it.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::super::clock::now;

/// Records of each kind that are kept.
const MOST: usize = 10_000;

#[derive(Default)]
pub struct Records {
    calls: Vec<Value>,
    logins: Vec<Value>,
    refreshes: Vec<Value>,
    polls: Vec<Value>,
}

impl Records {
    pub fn call(&mut self, account: Option<&str>, token_sha256: &str, model: &str, from: IpAddr, status: u16) {
        let call = json!({
            "at": now(),
            "account": account,
            "token_sha256": token_sha256,
            "model": model,
            "from": from.to_string(),
            "status": status,
        });
        keep(&mut self.calls, call);
    }

    pub fn login(&mut self, account: &str, from: IpAddr, how: &str) {
        let login = json!({ "at": now(), "account": account, "from": from.to_string(), "how": how });
        keep(&mut self.logins, login);
    }

    pub fn refresh(&mut self, account: Option<&str>, outcome: &str) {
        let refresh = json!({ "at": now(), "account": account, "outcome": outcome });
        keep(&mut self.refreshes, refresh);
    }

    pub fn poll(&mut self, user_code: &str, status: u16) {
        let poll = json!({ "at": now(), "user_code": user_code, "status": status });
        keep(&mut self.polls, poll);
    }

    pub fn shown(&self) -> Value {
        json!({
            "calls": self.calls,
            "logins": self.logins,
            "refreshes": self.refreshes,
            "polls": self.polls,
        })
    }
}

fn keep(records: &mut Vec<Value>, record: Value) {
    if records.len() < MOST {
        records.push(record);
    }
}
