//! Who may call: the master key, and virtual keys for some models each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::super::super::token::{bearer, equal};
use super::super::super::{ComponentError, Pod, mutant};
use super::answers::Problem;

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

struct Virtual {
    key: SecretString,
    alias: String,
    models: Vec<String>,
    expires: f64,
    budget: u64,
}

/// What has become of a virtual key, by its place in the list.
#[derive(Default)]
struct Use {
    blocked: bool,
    calls: u64,
}

pub struct Keys {
    master: Option<SecretString>,
    all: Vec<Virtual>,
    used: Mutex<HashMap<usize, Use>>,
    pod: Pod,
}

/// Whose a call is.
pub enum Caller {
    Master,
    Virtual {
        place: usize,
        alias: String,
        models: Vec<String>,
    },
    /// Whom only a mutant lets in.
    Unknown,
}

impl Caller {
    pub fn may_use(&self, model: &str) -> bool {
        match self {
            Caller::Master | Caller::Unknown => true,
            Caller::Virtual { models, .. } => models.iter().any(|own| own == model),
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
        let mut used = HashMap::new();
        let mut all = Vec::new();
        for (place, given) in given.into_iter().enumerate() {
            if given.key.is_empty() {
                return Err(ComponentError(format!("VIRTUAL_KEYS: key {} is empty", place + 1)));
            }
            let blocked = given.blocked;
            used.insert(place, Use { blocked, calls: 0 });
            all.push(Virtual {
                key: given.key.into(),
                alias: given.alias.unwrap_or_else(|| format!("key-{}", place + 1)),
                models: given.models,
                expires: given.expires.unwrap_or(f64::INFINITY),
                budget: given.budget.unwrap_or(u64::MAX),
            });
        }
        let master = pod.var("LITELLM_MASTER_KEY").filter(|key| !key.is_empty());
        Ok(Keys {
            master: master.map(SecretString::from),
            all,
            used: Mutex::new(used),
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
        let Some(place) = self.all.iter().position(|own| is(&own.key)) else {
            let looks_like_one = key.starts_with(b"sk-") && self.pod.has(&mutant::UNKNOWN_KEY_PASSES);
            return match looks_like_one {
                true => Ok(Caller::Unknown),
                false => refused("token_not_found_in_db", "Authentication Error: the key is not known"),
            };
        };
        let own = &self.all[place];
        let passes = self.pod.has(&mutant::EXPIRED_KEY_PASSES);
        if own.expires <= now && !passes {
            return refused("expired_key", "Authentication Error: the key has expired");
        }
        if self.with(place, |used| used.blocked) && !passes {
            return refused("auth_error", "Authentication Error: the key is blocked");
        }
        Ok(Caller::Virtual {
            place,
            alias: own.alias.clone(),
            models: own.models.clone(),
        })
    }

    /// Takes one call off a key's budget.
    ///
    /// # Errors
    /// 400 `budget_exceeded`, as the real one has it.
    pub fn spend(&self, caller: &Caller) -> Result<(), Problem> {
        let Caller::Virtual { place, alias, .. } = caller else {
            return Ok(());
        };
        let budget = self.all.get(*place).map_or(0, |own| own.budget);
        let spent = self.with(*place, |used| {
            used.calls += 1;
            used.calls > budget
        });
        match spent {
            false => Ok(()),
            true => {
                let text = format!("Budget has been exceeded: {alias} may make {budget} calls");
                Err(Problem::new(StatusCode::BAD_REQUEST, "budget_exceeded", text))
            }
        }
    }

    /// Blocks a virtual key at once.
    pub fn block(&self, key: &str) -> Result<(), Problem> {
        let is = |own: &Virtual| equal(own.key.expose_secret().as_bytes(), key.as_bytes());
        let place = self.all.iter().position(is);
        let none = || Problem::new(StatusCode::NOT_FOUND, "not_found_error", "there is no such key");
        self.with(place.ok_or_else(none)?, |used| used.blocked = true);
        Ok(())
    }

    fn with<T>(&self, place: usize, change: impl FnOnce(&mut Use) -> T) -> T {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        change(used.entry(place).or_default())
    }
}
