//! The rotator: puts the login whose turn it is into `auth.json`.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `CHATGPT_AUTH_DIR` | `/chatgpt-auth` | the folder |
//! | `CODEX_ROTATION_INTERVAL_SEC` | 3600 | an account's turn |
//! | `CODEX_ROTATION_POLL_SEC` | 5 | time between two looks |
//! | `CODEX_SIGNAL_MAX_AGE_SEC` | 120 | a signal that is older is stale |
//! | `CODEX_PARK_USAGE_CAP_SEC`, `CODEX_PARK_TRANSIENT_SEC` | 10800, 300 | for how long an account is parked |
//! | `CODEX_MODELS` | `gpt-5-codex` | of which signals may be |
//! | `OPENAI_CODEX_ACCESS_TOKEN[_2,_3]`, `OPENAI_CODEX_REFRESH_TOKEN[_2,_3]` | | logins where no file is one |
//! | `CODEX_ISSUER`, `CODEX_CLIENT_ID` | | where expired logins are refreshed |
//!
//! What can't be read, written or refreshed is told of and tried again: nothing but its own environment ends it.

mod failed;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;

use super::super::{ComponentError, Pod, mutant};
use super::account::Account;
use super::clock::{now, seconds, wait};
use super::folder::{AUTH, Folder, PRIVATE, SIGNAL, STATE};
use super::login::Login;
use super::refresh::{self, Failure, Issuer, Source};
use super::rotation::{Limit, Policy, Rotation};
use super::signal::Signal;
use failed::{Failed, LONGEST_PAUSE};

pub async fn run(pod: Pod) -> Result<(), ComponentError> {
    let mut rotator = Rotator::new(&pod)?;
    pod.log.line("codex-auth-rotator: started");
    loop {
        rotator.look().await?;
        tokio::select! {
            () = tokio::time::sleep(rotator.pause()) => {}
            Some(refreshed) = rotator.refreshes.join_next() => rotator.refreshed(refreshed.ok()),
            () = pod.stop.cancelled() => break,
        }
    }
    // A refresh token is spent once it is sent: what came for it must be kept.
    let end = async { while rotator.refreshes.join_next().await.is_some() {} };
    let _too_slow = tokio::time::timeout(refresh::PATIENCE + Duration::from_secs(1), end).await;
    Ok(())
}

/// How a refresh of a login ended: the account, what the login was before, and the new one.
type Refreshed = (Account, [u8; 32], Result<Login, Failure>);

struct Rotator {
    pod: Pod,
    folder: Folder,
    issuer: Option<Issuer>,
    rotation: Rotation,
    models: Vec<String>,
    poll: f64,
    max_age: f64,
    refreshes: JoinSet<Refreshed>,
    under_way: BTreeSet<Account>,
    failed: BTreeMap<Account, Failed>,
    /// Logins whose successor was not kept; only a mutant has any.
    unkept: BTreeMap<Account, ([u8; 32], Login)>,
    /// What the log was told last of an account that can't be used.
    told: BTreeMap<Account, String>,
    announced: Option<Account>,
    /// The login that is in auth.json.
    written: Option<[u8; 32]>,
    saved: Value,
}

/// What there is of an account.
enum Standing {
    Missing,
    Good(Login),
    Bad(String),
}

impl Rotator {
    fn new(pod: &Pod) -> Result<Rotator, ComponentError> {
        let interval = seconds(pod, "CODEX_ROTATION_INTERVAL_SEC", 3600.0)?;
        let poll = seconds(pod, "CODEX_ROTATION_POLL_SEC", 5.0)?;
        if interval <= 0.0 || poll <= 0.0 {
            return Err(ComponentError(
                "CODEX_ROTATION_INTERVAL_SEC and CODEX_ROTATION_POLL_SEC must be more than 0".into(),
            ));
        }
        let policy = Policy {
            interval,
            usage_cap: seconds(pod, "CODEX_PARK_USAGE_CAP_SEC", 10_800.0)?,
            transient: seconds(pod, "CODEX_PARK_TRANSIENT_SEC", 300.0)?,
        };
        let folder = Folder::of(pod);
        let mut rotation = Rotation::new(pod, policy);
        let state = folder.read(STATE).ok().flatten().unwrap_or_default();
        if let (Ok(state), false) = (
            serde_json::from_slice::<Value>(&state),
            pod.has(&mutant::STATE_FORGOTTEN),
        ) {
            rotation.restore(&state);
        }
        Ok(Rotator {
            pod: pod.clone(),
            folder,
            issuer: Issuer::of(pod),
            rotation,
            models: super::litellm::names(pod.var_or("CODEX_MODELS", "gpt-5-codex")),
            poll,
            max_age: seconds(pod, "CODEX_SIGNAL_MAX_AGE_SEC", 120.0)?,
            refreshes: JoinSet::new(),
            under_way: BTreeSet::new(),
            failed: BTreeMap::new(),
            unkept: BTreeMap::new(),
            told: BTreeMap::new(),
            announced: None,
            written: None,
            saved: Value::Null,
        })
    }

    /// Until the next look: a poll, or less where the turn ends before.
    fn pause(&self) -> Duration {
        match self.rotation.rest(now()) {
            rest if rest > 0.0 => wait(rest.min(self.poll).max(0.001)),
            // A turn that a mutant doesn't end.
            _ => wait(self.poll),
        }
    }

    async fn look(&mut self) -> Result<(), ComponentError> {
        let now = now();
        let logins = self.logins(now);
        let usable: Vec<Account> = logins.keys().copied().collect();
        while self.pod.has(&mutant::REFRESH_HOLDS_UP) {
            let Some(refreshed) = self.refreshes.join_next().await else {
                break;
            };
            self.refreshed(refreshed.ok());
        }
        let limit = self.signal(now)?;
        if let Some(parked) = self.rotation.step(now, &usable, limit) {
            let kind = limit.map_or("", Limit::words);
            let line = format!("parked {} for {}s: {kind}", parked.account, parked.seconds);
            self.pod.log.line(line);
        }
        match self
            .rotation
            .active()
            .and_then(|active| Some((active, logins.get(&active)?)))
        {
            Some((active, login)) => self.put(active, login).await,
            None if self.pod.has(&mutant::ALL_PARKED_TAKES_NONE) && self.announced.is_some() => {
                let _gone = self.folder.remove(AUTH);
                self.announced = None;
            }
            // What is there stays: LiteLLM sees for itself that it is no good.
            None => self.announced = None,
        }
        self.save(&logins).await;
        Ok(())
    }

    /// The logins that can be used now. Those that can't are told of, and refreshed where that may help.
    fn logins(&mut self, now: f64) -> BTreeMap<Account, Login> {
        let mut usable = BTreeMap::new();
        let mut stopped = false;
        for (account, source) in self.sources() {
            let standing = self.standing(account, source, now);
            let why = match standing {
                Standing::Good(login) => {
                    usable.insert(account, login);
                    None
                }
                Standing::Missing => None,
                Standing::Bad(why) => Some(why),
            };
            stopped |= why.is_some() && self.pod.has(&mutant::UNREADABLE_STOPS_ROTATION);
            if self.told.get(&account) != why.as_ref() {
                if let Some(why) = &why {
                    self.pod.log.line(format!("{account} can not be used: {why}"));
                }
                match why {
                    Some(why) => self.told.insert(account, why),
                    None => self.told.remove(&account),
                };
            }
        }
        if stopped {
            let active = self.rotation.active();
            usable.retain(|account, _| Some(*account) == active);
        }
        usable
    }

    /// Where each account's login is: in files where any is one, else in the environment.
    fn sources(&self) -> Vec<(Account, Source)> {
        let has_file = |account: &Account| self.folder.has(&account.file());
        let in_env = |account: &Account| Login::of_env(&self.pod, *account).is_some();
        let files = Account::ALL.iter().any(has_file);
        let beaten = self.pod.has(&mutant::ENV_BEATS_FILES) && Account::ALL.iter().any(in_env);
        let source = |account: Account| match files && !beaten || self.pod.has(&mutant::NO_ENV_FALLBACK) {
            true if self.pod.has(&mutant::ENV_FILLS_GAPS) && !has_file(&account) => Source::Environment,
            true => Source::File,
            false => Source::Environment,
        };
        Account::ALL
            .into_iter()
            .map(|account| (account, source(account)))
            .collect()
    }

    fn standing(&mut self, account: Account, source: Source, now: f64) -> Standing {
        let login = match refresh::current(&self.pod, &self.folder, account, source) {
            Ok(None) => return Standing::Missing,
            Ok(Some(login)) => login,
            Err(why) => return Standing::Bad(why.to_string()),
        };
        let login = match self.unkept.get(&account) {
            Some((of, successor)) if *of == login.fingerprint() => successor.clone(),
            _ => login,
        };
        let fingerprint = login.fingerprint();
        let failed = self
            .failed
            .get(&account)
            .filter(|failed| failed.fingerprint == fingerprint);
        let is_forgotten = self.pod.has(&mutant::REFRESH_FORGOTTEN)
            || source == Source::Environment && self.pod.has(&mutant::ENV_NEVER_REFRESHED);
        let can_refresh = login.refresh_token().is_some() && !is_forgotten;
        // A little early, so that no call meets an expired one.
        let end = now + (2.0 * self.poll).min(LONGEST_PAUSE);
        let is_due = login.is_expired(end) && failed.is_none_or(|failed| failed.again <= now);
        let is_kept = failed.is_some_and(Failed::is_final) && self.pod.has(&mutant::REVOKED_STILL_USED);
        let why = failed.map(|failed| failed.why.clone());
        if let (true, true, Some(issuer)) = (can_refresh, is_due, &self.issuer)
            && self.under_way.insert(account)
        {
            let (pod, folder, issuer) = (self.pod.clone(), self.folder.clone(), issuer.clone());
            self.refreshes.spawn(async move {
                let renewed = refresh::renew(&pod, &folder, &issuer, account, source, end).await;
                (account, fingerprint, renewed)
            });
        }
        match () {
            () if !login.is_expired(now) || is_kept || self.pod.has(&mutant::EXPIRED_ROTATED_TO) => {
                Standing::Good(login)
            }
            () => Standing::Bad(why.unwrap_or_else(|| "its access token has expired".to_owned())),
        }
    }

    /// Takes note of a refresh that has ended; none is one that panicked.
    fn refreshed(&mut self, ended: Option<Refreshed>) {
        let Some((account, fingerprint, renewed)) = ended else {
            self.under_way.clear();
            return;
        };
        self.under_way.remove(&account);
        let before = self.failed.remove(&account);
        match renewed {
            Ok(login) => {
                self.pod.log.line(format!("refreshed {account}"));
                if self.pod.has(&mutant::REFRESH_NOT_WRITTEN_BACK) || self.pod.has(&mutant::ENV_REFRESH_NOT_KEPT) {
                    self.unkept.insert(account, (fingerprint, login));
                }
            }
            Err(why) => {
                let failed = Failed::new(&self.pod, fingerprint, &why, before, now());
                self.failed.insert(account, failed);
            }
        }
    }

    /// The limit of a fresh signal, which is consumed. Others are removed.
    fn signal(&self, now: f64) -> Result<Option<Limit>, ComponentError> {
        let read = self.folder.read(SIGNAL);
        if matches!(read, Ok(None)) || self.pod.has(&mutant::SIGNAL_IGNORED) {
            return Ok(None);
        }
        let has = |mutant| self.pod.has(mutant);
        let Some(signal) = read.ok().flatten().and_then(|bytes| Signal::parse(&bytes)) else {
            if has(&mutant::GARBAGE_CRASHES) {
                return Err(ComponentError(format!("{SIGNAL}: it can't be read")));
            }
            if has(&mutant::GARBAGE_ROTATES) {
                self.discard(None);
                return Ok(Some(Limit::Transient));
            }
            if !has(&mutant::GARBAGE_KEPT) {
                self.discard(Some("unreadable"));
            }
            return Ok(None);
        };
        if !signal.is_of(&self.models) && !has(&mutant::OTHER_MODELS_SIGNAL) {
            self.discard(Some("unrelated"));
            return Ok(None);
        }
        let max_age = match () {
            () if has(&mutant::SIGNAL_AGE_HALVED) => self.max_age / 2.0,
            () if has(&mutant::SIGNAL_AGE_DOUBLED) => self.max_age * 2.0,
            () => self.max_age,
        };
        if !signal.is_fresh(now, max_age) && !has(&mutant::STALE_SIGNAL_ROTATES) {
            if !has(&mutant::STALE_SIGNAL_KEPT) {
                self.discard(Some("stale"));
            }
            return Ok(None);
        }
        if !has(&mutant::SIGNAL_KEPT) {
            self.discard(None);
        }
        Ok(Some(signal.limit))
    }

    /// Removes the signal; says what it was where it rotates nothing.
    fn discard(&self, what: Option<&str>) {
        match (self.folder.remove(SIGNAL), what) {
            (Ok(()), Some(what)) => self.pod.log.line(format!("removed {what} {SIGNAL}")),
            (Ok(()), None) => {}
            (Err(error), _) => self.pod.log.line(format!("removing {SIGNAL}: {error}")),
        }
    }

    /// Puts the active account's login into auth.json, where it isn't yet.
    async fn put(&mut self, active: Account, login: &Login) {
        let fingerprint = login.fingerprint();
        if self.written != Some(fingerprint) || !self.folder.has(AUTH) || self.announced != Some(active) {
            if let Err(error) = self.write(login).await {
                self.pod.log.line(format!("writing {AUTH}: {error}"));
                return;
            }
            self.written = Some(fingerprint);
        }
        if self.announced != Some(active) {
            self.announced = Some(active);
            match self.pod.has(&mutant::LOGIN_TOKEN_IN_LOG) {
                true => self.pod.log.line(format!("active {active}: {}", login.document())),
                false => self.pod.log.line(format!("active {active}")),
            }
        }
    }

    async fn write(&self, login: &Login) -> std::io::Result<()> {
        let bytes = login.document().to_string().into_bytes();
        if self.pod.has(&mutant::AUTH_JSON_IN_PLACE) {
            let mut file = std::fs::File::create(self.folder.path().join(AUTH))?;
            let (one, other) = bytes.split_at(bytes.len() / 2);
            file.write_all(one)?;
            // As a writer with a buffer has it: the rest comes when the file is closed.
            tokio::task::yield_now().await;
            return file.write_all(other);
        }
        if self.pod.has(&mutant::AUTH_JSON_REMOVED_FIRST) {
            self.folder.remove(AUTH)?;
        }
        let mode = if self.pod.has(&mutant::AUTH_JSON_FOR_ALL) {
            0o644
        } else {
            PRIVATE
        };
        self.folder.replace(AUTH, bytes, mode).await
    }

    /// Keeps the state where it has changed.
    async fn save(&mut self, logins: &BTreeMap<Account, Login>) {
        let mut state = self.rotation.state();
        if self.pod.has(&mutant::LOGIN_TOKEN_IN_STATE) {
            state["tokens"] = logins.values().map(Login::document).collect();
        }
        if state == self.saved {
            return;
        }
        match self
            .folder
            .replace(STATE, state.to_string().into_bytes(), PRIVATE)
            .await
        {
            Ok(()) => self.saved = state,
            Err(error) => self.pod.log.line(format!("writing {STATE}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests;
