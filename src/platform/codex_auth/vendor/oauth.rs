//! `/oauth/token`: codes and refresh tokens against tokens (RFC 6749 §4.1.3, §6; RFC 8628 §3.4).

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::super::super::http::{Body, text};
use super::super::super::mutant;
use super::super::clock::now;
use super::behaviour::{Refresh, SLOW};
use super::message::{Fault, Message};
use super::state::{Login, Stage, State};
use super::tokens::{Network, random};
use super::{Vendor, ok};

/// The grant type of RFC 8628.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl Vendor {
    pub async fn token(&self, message: &Message) -> Result<Response<Body>, Fault> {
        let fields = message.fields()?;
        let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        if field("client_id").is_empty() {
            return Err(Fault::new(StatusCode::UNAUTHORIZED, "invalid_client"));
        }
        match field("grant_type") {
            "authorization_code" => {
                let is_known = field("redirect_uri").ends_with("/deviceauth/callback");
                let mut state = self.state();
                let coded = exchanged(&mut state, field("code"), field("code_verifier"));
                let (account, network) = coded.filter(|_| is_known).ok_or_else(|| Fault::bad("invalid_grant"))?;
                self.made(&mut state, message, &account, network)
            }
            DEVICE_CODE => {
                let mut state = self.state();
                let (account, network) = self.device_token(&mut state, field("device_code"))?;
                self.made(&mut state, message, &account, network)
            }
            "refresh_token" => {
                let behaviour = self.state().behaviour.refresh;
                match behaviour {
                    Refresh::Ok => {}
                    Refresh::Slow => tokio::time::sleep(SLOW).await,
                    Refresh::Down => return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable")),
                    Refresh::Error => return Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error")),
                    Refresh::Html => return Ok(html()),
                }
                self.refreshed(&mut self.state(), message, field("refresh_token"))
            }
            _ => Err(Fault::bad("unsupported_grant_type")),
        }
    }

    /// A new login, of a person who is done.
    fn made(
        &self,
        state: &mut State,
        message: &Message,
        account: &str,
        network: Network,
    ) -> Result<Response<Body>, Fault> {
        let ttl = state.behaviour.token_ttl;
        let tokens = self.tokens_of(state.login(account, network), ttl)?;
        state.records.login(account, message.peer.ip(), "device");
        Ok(ok(&tokens))
    }

    /// All tokens of a login, as they are now.
    pub fn tokens_of(&self, login: &Login, ttl: f64) -> Result<Value, Fault> {
        let now = now();
        let sign = || self.tokens.sign(&login.account, login.id, now, now + ttl);
        let signed = sign().and_then(|access| Ok((access, sign()?)));
        let (access, id) = signed.map_err(|why| {
            self.pod.log.line(format!("vendor: {why}"));
            Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error")
        })?;
        Ok(json!({
            "access_token": access,
            "id_token": id,
            "refresh_token": login.refresh,
            "token_type": "Bearer",
            "expires_in": ttl.ceil() as i64,
        }))
    }

    /// Whether a login may be used from there. One that is tried from elsewhere is revoked.
    pub fn is_bound_elsewhere(&self, login: &mut Login, from: Network) -> bool {
        let elsewhere = login.network != from && !self.pod.has(&mutant::VENDOR_BINDS_NOTHING);
        if elsewhere {
            login.revoked = true;
            let line = format!("vendor: a login of {} is tried from {from}", login.account);
            self.pod.log.line(line);
        }
        elsewhere
    }

    fn refreshed(&self, state: &mut State, message: &Message, token: &str) -> Result<Response<Body>, Fault> {
        let State {
            logins,
            records,
            behaviour,
            ..
        } = state;
        let is_its = |login: &&mut Login| login.refresh == token || login.spent.contains(token);
        let Some(login) = logins.iter_mut().find(is_its) else {
            records.refresh(None, "unknown");
            return Err(Fault::bad("invalid_grant"));
        };
        let account = login.account.clone();
        if login.spent.contains(token) {
            // Whoever has the other copy has stolen it, or will be taken for a thief (RFC 9700 §4.14.2).
            login.revoked = true;
            records.refresh(Some(&account), "reused");
            return Err(Fault::bad("invalid_grant"));
        }
        if login.revoked {
            records.refresh(Some(&account), "revoked");
            return Err(Fault::bad("invalid_grant"));
        }
        if self.is_bound_elsewhere(login, message.network()) {
            records.refresh(Some(&account), "device_mismatch");
            return Err(mismatch());
        }
        let spent = std::mem::replace(&mut login.refresh, random());
        login.spent.insert(spent);
        let tokens = self.tokens_of(login, behaviour.token_ttl)?;
        records.refresh(Some(&account), "ok");
        Ok(ok(&tokens))
    }
}

/// The refusal of a login that was carried elsewhere.
pub fn mismatch() -> Fault {
    Fault::of_model(StatusCode::UNAUTHORIZED, json!({ "code": "device_mismatch" }))
}

/// Account and network of a code that was given, which is good for one exchange.
fn exchanged(state: &mut State, given: &str, verified: &str) -> Option<(String, Network)> {
    let now = now();
    state.devices.iter_mut().find_map(|device| {
        let Stage::Coded {
            account,
            code,
            verifier,
        } = &device.stage
        else {
            return None;
        };
        if code != given || device.expires_at <= now {
            return None;
        }
        let found = (verifier == verified).then(|| (account.clone(), device.network));
        device.stage = Stage::Done;
        found
    })
}

fn html() -> Response<Body> {
    let mut response = text(
        StatusCode::OK,
        "<!doctype html><title>Just a moment…</title>\n".to_owned(),
    );
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
