//! A session as clients see it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Sessions;
use crate::platform::mutant;
use crate::platform::objects::Sandbox;
use crate::platform::records::{Session, Status};

impl Sessions {
    /// A session as clients see it. The token is the one that its pod was made
    /// with; where there is no sandbox, the platform's.
    pub(super) async fn show_session(&self, session: &Session, sandbox: Option<&Sandbox>) -> Value {
        let is_ready = session.status == Status::Ready;
        let mut token = match sandbox {
            Some(sandbox) => sandbox.token(),
            None => self.token.now().await,
        };
        if self.pod.has(&mutant::TTY_TOKEN_MADE_UP) {
            token = Some(
                Sha256::digest(&session.id)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
            );
        }
        if self.pod.has(&mutant::TTY_TOKEN_EMPTY_TEXT) {
            token = Some(token.unwrap_or_default());
        }
        let url = sandbox
            .and_then(Sandbox::pod_ip)
            .map(|ip| format!("http://{ip}:{}", self.names.sandbox_port));
        json!({
            "id": session.id,
            "agent_id": session.agent_id,
            "title": session.title,
            "status": session.status.name(),
            "sandbox_url": url,
            "tty_url": is_ready.then(|| format!("{}/{}/tty", self.tty_url_prefix, session.id)),
            "tty_token": token,
            "supports_tui": true,
            "phase": sandbox.and_then(Sandbox::phase),
            "failure_reason": session.failure_reason,
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
        })
    }
}
