//! The device flows: that of the codex CLI, and RFC 8628 beside it.
//!
//! codex asks for a code, then whether the person is done: 403 is "not yet", 200 has an authorization code and
//! the verifier to exchange it with. All else ends its login.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::HOST;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::super::http::Body;
use super::super::clock::now;
use super::message::{Fault, Message};
use super::state::{Device, Stage, State};
use super::tokens::{Network, random};
use super::{Vendor, ok};

/// By how much RFC 8628 §3.5 makes the interval longer for those who ask too soon.
const SLOWER: f64 = 5.0;

impl Vendor {
    /// Begins codex's device flow.
    pub fn user_code(&self, message: &Message) -> Result<Response<Body>, Fault> {
        let asked = message.json()?;
        if asked["client_id"].as_str().is_none_or(str::is_empty) {
            return Err(Fault::bad("invalid_client"));
        }
        let mut state = self.state();
        let now = now();
        let device = state.device(message.network(), now, self.interval);
        Ok(ok(&json!({
            "device_auth_id": device.id,
            "user_code": device.user_code,
            // A text, as the CLI expects it.
            "interval": device.interval.to_string(),
            "expires_in": rest(device, now),
        })))
    }

    /// Whether the person is done.
    pub fn authorization_code(&self, message: &Message) -> Result<Response<Body>, Fault> {
        let asked = message.json()?;
        let text = |name: &str| asked[name].as_str().unwrap_or_default();
        let mut state = self.state();
        let answer = poll(&mut state, text("device_auth_id"), text("user_code"));
        let status = answer.as_ref().map_or_else(Fault::status, |_| StatusCode::OK);
        state.records.poll(text("user_code"), status.as_u16());
        answer.map(|answer| ok(&answer))
    }

    /// Begins the device flow of RFC 8628.
    pub fn device_code(&self, message: &Message) -> Result<Response<Body>, Fault> {
        let fields = message.fields()?;
        if fields.get("client_id").is_none_or(String::is_empty) {
            return Err(Fault::bad("invalid_client"));
        }
        let host = message.headers.get(HOST).and_then(|host| host.to_str().ok());
        let page = format!("http://{}/codex/device", host.unwrap_or("vendor:9400"));
        let mut state = self.state();
        let now = now();
        let device = state.device(message.network(), now, self.interval);
        Ok(ok(&json!({
            "device_code": device.id,
            "user_code": device.user_code,
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={}", device.user_code),
            "expires_in": rest(device, now),
            "interval": device.interval.ceil() as u64,
        })))
    }

    /// A question of RFC 8628 (§3.5); the account and the network of a flow that is done.
    pub fn device_token(&self, state: &mut State, device_code: &str) -> Result<(String, Network), Fault> {
        let now = now();
        let held_back = state.behaviour.poll.pending > 0;
        let refused = refused(state);
        let device = state.devices.iter_mut().find(|device| device.id == device_code);
        let device = device.ok_or_else(|| Fault::bad("invalid_grant"))?;
        let user_code = device.user_code.clone();
        let answer = match (&device.stage, refused) {
            (_, Some(fault)) => Err(fault),
            _ if device.expires_at <= now => Err(Fault::bad("expired_token")),
            (Stage::Denied, _) => Err(Fault::bad("access_denied")),
            (Stage::Coded { .. } | Stage::Done, _) => Err(Fault::bad("invalid_grant")),
            // Also for one that is done: who asks too soon gets nothing for it.
            _ if now < device.polled_at + device.interval => {
                device.interval += SLOWER;
                Err(Fault::bad("slow_down"))
            }
            (Stage::Approved(account), _) if !held_back => Ok((account.clone(), device.network)),
            _ => Err(Fault::bad("authorization_pending")),
        };
        device.polled_at = now;
        if answer.is_ok() {
            device.stage = Stage::Done;
        }
        if matches!(&device.stage, Stage::Approved(_)) {
            state.behaviour.poll.pending = state.behaviour.poll.pending.saturating_sub(1);
        }
        let status = answer.as_ref().map_or_else(Fault::status, |_| StatusCode::OK);
        state.records.poll(&user_code, status.as_u16());
        answer
    }
}

/// Seconds that a code is still good for.
fn rest(device: &Device, now: f64) -> u64 {
    (device.expires_at - now).round().max(0.0) as u64
}

/// The refusal that the next question was told to get.
fn refused(state: &mut State) -> Option<Fault> {
    let poll = &mut state.behaviour.poll;
    let status = StatusCode::from_u16(poll.status?).ok().filter(|_| poll.times > 0)?;
    poll.times -= 1;
    Some(Fault::new(status, "told_to").retry_after(poll.retry_after))
}

/// One question of codex.
fn poll(state: &mut State, id: &str, user_code: &str) -> Result<Value, Fault> {
    if let Some(fault) = refused(state) {
        return Err(fault);
    }
    // Not 403 or 404: codex would go on asking.
    let pending = || Fault::new(StatusCode::FORBIDDEN, "authorization_pending");
    let of_both = |device: &&mut Device| device.id == id && device.user_code == user_code;
    let device = state.devices.iter_mut().find(of_both);
    let device = device.ok_or_else(|| Fault::bad("invalid_grant"))?;
    if device.expires_at <= now() {
        return Err(Fault::bad("expired_token"));
    }
    let account = match &device.stage {
        Stage::Pending => return Err(pending()),
        Stage::Denied => return Err(Fault::bad("access_denied")),
        Stage::Coded { .. } | Stage::Done => return Err(Fault::bad("invalid_grant")),
        Stage::Approved(_) if state.behaviour.poll.pending > 0 => {
            state.behaviour.poll.pending -= 1;
            return Err(pending());
        }
        Stage::Approved(account) => account.clone(),
    };
    let (code, verifier) = (random(), random());
    let answer = json!({
        "authorization_code": code,
        // RFC 7636 §4.2, S256.
        "code_challenge": URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)),
        "code_verifier": verifier,
    });
    device.stage = Stage::Coded {
        account,
        code,
        verifier,
    };
    Ok(answer)
}
