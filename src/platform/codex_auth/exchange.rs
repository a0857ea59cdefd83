//! The device flow as the codex CLI has it, from the side of the CLI.
//!
//! Seen with codex 0.171.0, `codex login --device-auth --experimental_issuer A --experimental_client-id ID`:
//! it asks for a code, shows `A/codex/device` and the code, asks at once and then each `interval` seconds (a
//! text) whether the person is done, and exchanges what it gets. 403 and 404 mean "not yet"; every other status
//! than 200 ends the login with exit code 1, 429 too, and whatever `Retry-After` says. It needs no terminal.
//! It takes the access token as it is and reads the claims of the id token, whose signature it doesn't look at.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{ComponentError, Pod};
use super::clock::{now, wait};
use super::outgoing::{Post, Whole, form};

/// Where a login is made, and as which client.
pub struct Exchange<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
}

/// What a person has to see to log in.
struct Code {
    id: Value,
    user_code: String,
    interval: f64,
    expires_at: f64,
}

impl Exchange<'_> {
    /// Makes a login; gives the tokens as the issuer gave them. Shows in the log where a person has to go.
    pub async fn login(&self, pod: &Pod) -> Result<Value, ComponentError> {
        let code = self.code().await?;
        let minutes = ((code.expires_at - now()) / 60.0).round();
        for line in [
            "Follow these steps to sign in with ChatGPT using device code authorization:",
            "",
            "1. Open this link in your browser and sign in to your account",
            &format!("   {}/codex/device", self.issuer),
            "",
            &format!("2. Enter this one-time code (expires in {minutes} minutes)"),
            &format!("   {}", code.user_code),
            "",
        ] {
            pod.log.line(line);
        }
        let approved = self.approved(pod, &code).await?;
        self.exchange(&approved).await
    }

    async fn code(&self) -> Result<Code, ComponentError> {
        let url = format!("{}/api/accounts/deviceauth/usercode", self.issuer);
        let answer = read(Post::json(&url, &json!({ "client_id": self.client_id }))).await?;
        let body = accepted(&answer, "device code request")?;
        let number = |value: &Value| {
            let number = value.as_f64();
            number.or_else(|| value.as_str()?.trim().parse().ok())
        };
        let user_code = body["user_code"].as_str();
        Ok(Code {
            id: body["device_auth_id"].clone(),
            user_code: user_code
                .ok_or_else(|| wrong("the device code request got no user_code"))?
                .to_owned(),
            interval: number(&body["interval"]).unwrap_or(5.0),
            expires_at: now() + number(&body["expires_in"]).unwrap_or(900.0),
        })
    }

    /// What the issuer says once the person is done.
    async fn approved(&self, pod: &Pod, code: &Code) -> Result<Value, ComponentError> {
        let url = format!("{}/api/accounts/deviceauth/token", self.issuer);
        let asked = json!({ "device_auth_id": code.id, "user_code": code.user_code });
        loop {
            let answer = read(Post::json(&url, &asked)).await?;
            if !matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
                return accepted(&answer, "device auth");
            }
            if now() >= code.expires_at {
                return Err(wrong("device auth timed out: nobody entered the code"));
            }
            tokio::select! {
                () = tokio::time::sleep(wait(code.interval.max(0.05))) => {}
                () = pod.stop.cancelled() => return Err(wrong("it was told to stop")),
            }
        }
    }

    async fn exchange(&self, approved: &Value) -> Result<Value, ComponentError> {
        let url = format!("{}/oauth/token", self.issuer);
        let text = |name: &str| approved[name].as_str().unwrap_or_default();
        let fields = form(&[
            ("grant_type", "authorization_code"),
            ("client_id", self.client_id),
            ("code", text("authorization_code")),
            ("redirect_uri", &format!("{}/deviceauth/callback", self.issuer)),
            ("code_verifier", text("code_verifier")),
        ]);
        let answer = read(Post::form(&url, fields)).await?;
        accepted(&answer, "token exchange")
    }
}

async fn read(post: Post<'_>) -> Result<Whole, ComponentError> {
    post.read().await.map_err(|why| wrong(&why.to_string()))
}

fn accepted(answer: &Whole, what: &str) -> Result<Value, ComponentError> {
    match answer.status {
        StatusCode::OK => Ok(answer.json()),
        other => Err(wrong(&format!("{what} failed with status {other}"))),
    }
}

fn wrong(why: &str) -> ComponentError {
    ComponentError(format!("Error logging in: {why}"))
}
