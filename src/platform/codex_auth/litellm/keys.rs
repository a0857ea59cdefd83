//! Who may call: the master key, and virtual keys for some models each.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::super::token::{bearer, equal};
use super::super::super::{ComponentError, Pod, mutant};
use super::answers::Problem;
use crate::vocabulary::duration;

/// As `VIRTUAL_KEYS` has them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    key: String,
    models: Vec<String>,
    alias: Option<String>,
    /// Seconds since 1970.
    expires: Option<f64>,
    #[serde(default)]
    blocked: bool,
    /// Calls.
    budget: Option<u64>,
}

/// What `/key/generate` is asked for; what else the real one takes is passed over.
#[derive(Deserialize)]
struct Wanted {
    key_alias: Option<String>,
    /// All where there are none.
    #[serde(default)]
    models: Vec<String>,
    duration: Option<String>,
    /// A call costs 1.
    max_budget: Option<f64>,
}

struct Virtual {
    key: SecretString,
    alias: String,
    /// None: all.
    models: Option<Vec<String>>,
    expires: f64,
    budget: f64,
    blocked: bool,
    spent: f64,
}

pub struct Keys {
    master: Option<SecretString>,
    /// By numbers that are used once.
    all: Mutex<BTreeMap<u64, Virtual>>,
    pod: Pod,
}

/// Whose a call is.
pub enum Caller {
    Master,
    Virtual {
        number: u64,
        alias: String,
        models: Option<Vec<String>>,
    },
    /// Whom only a mutant lets in.
    Unknown,
}

impl Caller {
    pub fn may_use(&self, model: &str) -> bool {
        match self {
            Caller::Master | Caller::Unknown => true,
            Caller::Virtual { models, .. } => {
                let is = |own: &String| own == model;
                models.as_ref().is_none_or(|models| models.iter().any(is))
            }
        }
    }

    pub fn alias(&self) -> &str {
        match self {
            Caller::Master => "master",
            Caller::Virtual { alias, .. } => alias,
            Caller::Unknown => "unknown",
        }
    }
}

impl Keys {
    pub fn new(pod: &Pod) -> Result<Keys, ComponentError> {
        let text = pod.var("VIRTUAL_KEYS").filter(|text| !text.trim().is_empty());
        // The parser's own words would show a part of the text.
        let given: Vec<Given> = serde_json::from_str(text.unwrap_or("[]")).map_err(|error| {
            ComponentError(format!(
                "VIRTUAL_KEYS is no list of {{\"key\",\"models\",…}}: it is wrong at column {}",
                error.column()
            ))
        })?;
        let mut all = BTreeMap::new();
        for (number, given) in (1..).zip(given) {
            if given.key.is_empty() {
                return Err(ComponentError(format!("VIRTUAL_KEYS: key {number} is empty")));
            }
            let own = Virtual {
                key: given.key.into(),
                alias: given.alias.unwrap_or_else(|| format!("key-{number}")),
                models: Some(given.models),
                expires: given.expires.unwrap_or(f64::INFINITY),
                budget: given.budget.map_or(f64::INFINITY, |calls| calls as f64),
                blocked: given.blocked,
                spent: 0.0,
            };
            all.insert(number, own);
        }
        let master = pod.var("LITELLM_MASTER_KEY").filter(|key| !key.is_empty());
        Ok(Keys {
            master: master.map(SecretString::from),
            all: Mutex::new(all),
            pod: pod.clone(),
        })
    }

    /// Whose key a request shows.
    ///
    /// # Errors
    /// 401 where that is nobody's, or one that is good no more.
    pub fn caller(&self, headers: &HeaderMap, now: f64) -> Result<Caller, Problem> {
        let key = headers.get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        let key = key.unwrap_or_default();
        let is = |own: &SecretString| equal(own.expose_secret().as_bytes(), key);
        if self.master.as_ref().is_some_and(is) {
            return Ok(Caller::Master);
        }
        let refused = |type_, text: &str| Err(Problem::new(StatusCode::UNAUTHORIZED, type_, text));
        self.with(|all| {
            let Some((number, own)) = all.iter().find(|(_, own)| is(&own.key)) else {
                let looks_like_one = key.starts_with(b"sk-") && self.pod.has(&mutant::UNKNOWN_KEY_PASSES);
                return match looks_like_one {
                    true => Ok(Caller::Unknown),
                    false => refused("token_not_found_in_db", "Authentication Error: the key is not known"),
                };
            };
            if own.expires <= now && !self.pod.has(&mutant::EXPIRED_KEY_PASSES) {
                return refused("expired_key", "Authentication Error: the key has expired");
            }
            if own.blocked && !self.pod.has(&mutant::BLOCKED_KEY_PASSES) {
                return refused("auth_error", "Authentication Error: the key is blocked");
            }
            Ok(Caller::Virtual {
                number: *number,
                alias: own.alias.clone(),
                models: own.models.clone(),
            })
        })
    }

    /// Takes one call off a key's budget.
    ///
    /// # Errors
    /// 400 `budget_exceeded`, as the real one has it.
    pub fn spend(&self, caller: &Caller) -> Result<(), Problem> {
        let Caller::Virtual { number, alias, .. } = caller else {
            return Ok(());
        };
        let exceeded = self.with(|all| {
            let own = all.get_mut(number)?;
            let is_spent = own.spent >= own.budget && !self.pod.has(&mutant::BUDGET_IGNORED);
            own.spent += f64::from(u8::from(!is_spent));
            is_spent.then_some(own.budget)
        });
        match exceeded {
            None => Ok(()),
            Some(budget) => {
                let text = format!("Budget has been exceeded: {alias} may spend {budget}");
                Err(Problem::new(StatusCode::BAD_REQUEST, "budget_exceeded", text))
            }
        }
    }

    /// Makes a virtual key: `{"key_alias"?,"models"?,"duration"?,"max_budget"?}`.
    ///
    /// # Errors
    /// 400 where what is asked for can't be read.
    pub fn generate(&self, asked: &Value, now: f64) -> Result<Value, Problem> {
        let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, "bad_request_error", text);
        let wanted: Wanted = serde_json::from_value(asked.clone()).map_err(|error| bad(error.to_string()))?;
        let lasts = match wanted.duration.as_deref() {
            None => f64::INFINITY,
            Some(text) => {
                let time =
                    duration::parse(text).ok_or_else(|| bad(format!("duration: it must be {}", duration::FORM)))?;
                time.as_secs_f64()
            }
        };
        let digits: [u8; 16] = rand::random();
        let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("sk-{digits}");
        let alias = self.with(|all| {
            let number = all.last_key_value().map_or(1, |(last, _)| last + 1);
            let alias = wanted.key_alias.unwrap_or_else(|| format!("key-{number}"));
            let own = Virtual {
                key: key.clone().into(),
                alias: alias.clone(),
                models: (!wanted.models.is_empty()).then_some(wanted.models),
                expires: now + lasts,
                budget: wanted.max_budget.unwrap_or(f64::INFINITY),
                blocked: false,
                spent: 0.0,
            };
            all.insert(number, own);
            alias
        });
        Ok(json!({ "key": key, "key_alias": alias }))
    }

    /// Blocks a virtual key at once.
    pub fn block(&self, key: &str) -> Result<(), Problem> {
        let blocked = self.with(|all| {
            let (_, own) = found(all, key)?;
            own.blocked = true;
            Some(())
        });
        blocked.ok_or_else(none)
    }

    /// Deletes a virtual key.
    pub fn delete(&self, key: &str) -> Result<(), Problem> {
        let deleted = self.with(|all| {
            let number = *found(all, key)?.0;
            all.remove(&number)
        });
        deleted.map(drop).ok_or_else(none)
    }

    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<u64, Virtual>) -> T) -> T {
        change(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A virtual key with its number.
fn found<'k>(all: &'k mut BTreeMap<u64, Virtual>, key: &str) -> Option<(&'k u64, &'k mut Virtual)> {
    let is = |own: &Virtual| equal(own.key.expose_secret().as_bytes(), key.as_bytes());
    all.iter_mut().find(|(_, own)| is(own))
}

fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found_error", "there is no such key")
}
