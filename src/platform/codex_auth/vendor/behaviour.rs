//! How the vendor misbehaves when it is told to.

use std::time::Duration;

use serde::Deserialize;

/// As `/control/behave` has it: what isn't there stays as it is.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    poll: Option<Poll>,
    token_ttl: Option<f64>,
    code_ttl: Option<f64>,
    refresh: Option<Refresh>,
    answer: Option<Rule>,
}

/// Of the questions whether a person is done.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Poll {
    /// So many are answered "not yet" though the person is done.
    pub pending: u64,
    /// So many (`times`) are answered with this status, before that.
    pub status: Option<u16>,
    pub retry_after: Option<u64>,
    pub times: u64,
}

/// Of refreshes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Refresh {
    #[default]
    #[serde(rename = "ok")]
    Ok,
    /// 503.
    #[serde(rename = "down")]
    Down,
    /// The answer comes after [`SLOW`].
    #[serde(rename = "slow")]
    Slow,
    /// 200 with a page in the place of tokens.
    #[serde(rename = "html")]
    Html,
    #[serde(rename = "500")]
    Error,
}

/// Longer than anybody waits.
pub const SLOW: Duration = Duration::from_secs(30);

/// Of calls: the next `times` of an account (`*`: of any) are refused.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    account: String,
    #[serde(default = "too_many_requests")]
    pub status: u16,
    #[serde(default)]
    pub kind: Kind,
    #[serde(default = "once")]
    times: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    #[default]
    Transient,
    UsageCap,
}

fn too_many_requests() -> u16 {
    429
}

fn once() -> u64 {
    1
}

pub struct Behaviour {
    pub poll: Poll,
    /// Seconds.
    pub token_ttl: f64,
    pub code_ttl: f64,
    pub refresh: Refresh,
    answers: Vec<Rule>,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            poll: Poll::default(),
            token_ttl: 3600.0,
            code_ttl: 900.0,
            refresh: Refresh::Ok,
            answers: Vec::new(),
        }
    }
}

impl Behaviour {
    pub fn change(&mut self, wanted: Wanted) {
        if let Some(poll) = wanted.poll {
            self.poll = poll;
        }
        self.token_ttl = wanted.token_ttl.unwrap_or(self.token_ttl);
        self.code_ttl = wanted.code_ttl.unwrap_or(self.code_ttl);
        self.refresh = wanted.refresh.unwrap_or(self.refresh);
        if let Some(rule) = wanted.answer {
            // One rule for an account: the last one.
            self.answers.retain(|other| other.account != rule.account);
            self.answers.push(rule);
        }
    }

    /// The rule that the next call of an account falls under.
    pub fn refuses(&mut self, account: &str) -> Option<Rule> {
        let mut rules = self.answers.iter_mut();
        let rule = rules.find(|rule| rule.times > 0 && (rule.account == "*" || rule.account == account))?;
        rule.times -= 1;
        Some(rule.clone())
    }
}
