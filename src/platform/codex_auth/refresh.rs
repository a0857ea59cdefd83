//! A login that has expired gets new tokens at the identity provider.
//!
//! A refresh token is good for one use. So there is one refresh of a login at a time, under a lock that other
//! processes respect as well, and the new pair is kept before anybody uses it.

use std::io;
use std::time::Duration;

use http::StatusCode;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use super::super::{Pod, mutant};
use super::account::Account;
use super::folder::{Folder, PRIVATE, ReadError};
use super::login::{Invalid, Login};
use super::outgoing::{Post, PostError};

/// How long the identity provider may take.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Where a login is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    File,
    Environment,
}

/// Why a login was not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// For good: the refresh token is spent or revoked.
    #[error("the identity provider refuses its refresh token: {0}")]
    Refused(String),
    /// For now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a login can't be refreshed at the moment.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    #[error(transparent)]
    Post(#[from] PostError),
    #[error("POST {url}: it answered {status}")]
    Status { url: String, status: StatusCode },
    #[error("POST {url}: of its answer {source}")]
    Answer { url: String, source: Invalid },
    #[error("opening its lock: {0}")]
    Lock(#[source] io::Error),
    #[error("another process is refreshing it")]
    Locked,
    #[error("its login is gone")]
    Gone,
    #[error(transparent)]
    Login(#[from] Unusable),
    #[error("keeping its new tokens: {0}")]
    Keep(#[source] KeepError),
}

/// The identity provider.
#[derive(Clone)]
pub struct Issuer {
    url: String,
    client_id: String,
}

impl Issuer {
    /// None where the pod isn't told of any.
    pub fn of(pod: &Pod) -> Option<Issuer> {
        let url = pod.var("CODEX_ISSUER").filter(|url| !url.is_empty())?;
        Some(Issuer {
            url: url.trim_end_matches('/').to_owned(),
            client_id: pod.var_or("CODEX_CLIENT_ID", "gauntlet-codex").to_owned(),
        })
    }

    /// Asks for new tokens.
    async fn refresh(&self, token: &str) -> Result<Login, Failure> {
        let url = format!("{}/oauth/token", self.url);
        let asked = json!({
            "client_id": self.client_id,
            "grant_type": "refresh_token",
            "refresh_token": token,
            "scope": "openid profile email",
        });
        let post = Post {
            patience: PATIENCE,
            ..Post::json(&url, &asked)
        };
        let answer = post.read().await.map_err(Unavailable::Post)?;
        let body = answer.json();
        match answer.status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Failure::Refused(code(&body).to_owned()));
            }
            status => return Err(Unavailable::Status { url, status }.into()),
        }
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let access = text("access_token").unwrap_or_default();
        // One that gives no new refresh token goes on with the old one (RFC 6749 §6).
        let refresh = text("refresh_token").unwrap_or_else(|| token.to_owned());
        Login::new(access, Some(refresh), text("id_token")).map_err(|source| Unavailable::Answer { url, source }.into())
    }
}

/// What an identity provider calls an error: a code at the top (RFC 6749 §5.2), or in an object.
fn code(body: &Value) -> &str {
    let error = &body["error"];
    error["code"].as_str().or(error.as_str()).unwrap_or("no reason")
}

/// Why the login of an account can't be used: it can't be read, or is none.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// The login that an account has now.
pub fn current(pod: &Pod, folder: &Folder, account: Account, source: Source) -> Result<Option<Login>, Unusable> {
    match source {
        Source::File => {
            let Some(bytes) = folder.read(&account.file())? else {
                return Ok(None);
            };
            Ok(Some(Login::parse(pod, &bytes)?))
        }
        Source::Environment => {
            let Some(given) = Login::of_env(pod, account) else {
                return Ok(None);
            };
            let given = given?;
            Ok(Some(renewed(pod, folder, account, &given).unwrap_or(given)))
        }
    }
}

/// Where the successor of a login of the environment is kept, which can't be written to.
fn successor(account: Account) -> String {
    format!(".env-{}.json", account.number())
}

/// What has come of a login of the environment; none for another one than there was then.
fn renewed(pod: &Pod, folder: &Folder, account: Account, given: &Login) -> Option<Login> {
    let bytes = folder.read(&successor(account)).ok()??;
    let kept: Value = serde_json::from_slice(&bytes).ok()?;
    let is_its = kept["of"] == json!(given.fingerprint());
    is_its.then(|| Login::parse(pod, &bytes).ok()).flatten()
}

/// Refreshes a login that ends before `end`, and keeps the new one where the old one was.
pub async fn renew(
    pod: &Pod,
    folder: &Folder,
    issuer: &Issuer,
    account: Account,
    source: Source,
    end: f64,
) -> Result<Login, Failure> {
    let lock = folder.lock_file(&format!(".{account}.lock"));
    let lock = lock.map_err(Unavailable::Lock)?;
    // Held until the file is closed, also by a process that is killed.
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| Unavailable::Locked)?;
    let login = current(pod, folder, account, source)
        .map_err(Unavailable::Login)?
        .ok_or(Unavailable::Gone)?;
    // Whoever had the lock before may have done it.
    if !login.is_expired(end) {
        return Ok(login);
    }
    let token = login.refresh_token().ok_or(Unavailable::Gone)?;
    let fresh = if pod.has(&mutant::REFRESH_UNLOCKED) {
        let (one, other) = tokio::join!(issuer.refresh(token), issuer.refresh(token));
        one.or(other)?
    } else {
        match issuer.refresh(token).await {
            Err(Failure::Refused(why)) if pod.has(&mutant::REFUSED_TOKEN_IN_LOG) => {
                return Err(Failure::Refused(format!("{why} of {token}")));
            }
            renewed => renewed?,
        }
    };
    let is_lost = pod.has(&mutant::REFRESH_NOT_WRITTEN_BACK)
        || source == Source::Environment && pod.has(&mutant::ENV_REFRESH_NOT_KEPT);
    if !is_lost {
        keep(pod, folder, account, source, &login, &fresh)
            .await
            .map_err(Unavailable::Keep)?;
    }
    Ok(fresh)
}

/// Why new tokens are not kept where the old ones were.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

async fn keep(
    pod: &Pod,
    folder: &Folder,
    account: Account,
    source: Source,
    old: &Login,
    fresh: &Login,
) -> Result<(), KeepError> {
    let (name, document) = match source {
        Source::File => {
            let file = folder.read(&account.file())?.unwrap_or_default();
            let there = Login::parse(pod, &file).ok();
            // Somebody may have made a new login meanwhile, which is the one to keep.
            if there.is_some_and(|there| there.fingerprint() != old.fingerprint()) {
                return Ok(());
            }
            (account.file(), fresh.written_into(&file))
        }
        Source::Environment => {
            let given = Login::of_env(pod, account).and_then(Result::ok);
            let mut document = fresh.document();
            document["of"] = json!(given.map(|given| given.fingerprint()));
            (successor(account), document)
        }
    };
    let bytes = document.to_string().into_bytes();
    Ok(folder.replace_durably(&name, bytes, PRIVATE).await?)
}
