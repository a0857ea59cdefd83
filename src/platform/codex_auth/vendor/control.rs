//! `/control/…`: what the harness has the vendor do.

use http::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::super::http::Body;
use super::super::clock::now;
use super::behaviour::Wanted;
use super::message::{Fault, Message};
use super::state::Stage;
use super::{Vendor, ok};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approve {
    user_code: String,
    account: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deny {
    user_code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    account: String,
}

/// A login without a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Issue {
    account: String,
    /// Seconds; below nought for one that has expired.
    ttl: Option<f64>,
    /// Whether it has a refresh token.
    #[serde(default = "yes")]
    refresh: bool,
    /// Where it is made: by default where the request comes from.
    #[serde(rename = "as")]
    place: Option<Place>,
}

#[derive(Deserialize)]
enum Place {
    #[serde(rename = "cluster")]
    Cluster,
}

fn yes() -> bool {
    true
}

impl Vendor {
    pub fn control(&self, name: &str, message: &Message) -> Result<Response<Body>, Fault> {
        match name {
            "approve" => {
                let Approve { user_code, account } = asked(message)?;
                self.decide(&user_code, Stage::Approved(account))
            }
            "deny" => {
                let Deny { user_code } = asked(message)?;
                self.decide(&user_code, Stage::Denied)
            }
            "behave" => {
                self.state().behaviour.change(asked::<Wanted>(message)?);
                Ok(done())
            }
            "issue" => self.issue(message),
            "revoke" => {
                let Revoke { account } = asked(message)?;
                let mut state = self.state();
                let mut revoked = 0;
                for login in state.logins.iter_mut().filter(|login| login.account == account) {
                    login.revoked = true;
                    revoked += 1;
                }
                Ok(ok(&json!({ "revoked": revoked })))
            }
            _ => Err(Fault::not_found()),
        }
    }

    /// A person's word about a code.
    fn decide(&self, user_code: &str, stage: Stage) -> Result<Response<Body>, Fault> {
        let mut state = self.state();
        let device = state.pending(user_code, now());
        device.ok_or_else(Fault::not_found)?.stage = stage;
        Ok(done())
    }

    fn issue(&self, message: &Message) -> Result<Response<Body>, Fault> {
        let asked: Issue = asked(message)?;
        let network = match asked.place {
            Some(Place::Cluster) => self.cluster,
            None => message.network(),
        };
        let mut state = self.state();
        let ttl = asked.ttl.unwrap_or(state.behaviour.token_ttl);
        let mut tokens = self.tokens_of(state.login(&asked.account, network), ttl)?;
        if let (false, Some(tokens)) = (asked.refresh, tokens.as_object_mut()) {
            tokens.remove("refresh_token");
        }
        state.records.login(&asked.account, message.peer.ip(), "issued");
        Ok(ok(&tokens))
    }
}

/// What a control was told; says what is wrong with it, since a person wrote it.
fn asked<T: DeserializeOwned>(message: &Message) -> Result<T, Fault> {
    let value: Value = message.json()?;
    serde_json::from_value(value)
        .map_err(|error| Fault::of_model(StatusCode::BAD_REQUEST, json!({ "message": error.to_string() })))
}

fn done() -> Response<Body> {
    ok(&json!({ "ok": true }))
}
