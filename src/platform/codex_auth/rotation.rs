//! Which account is in use: all that the rotator decides, and nothing that it does.
//!
//! Time, accounts that can be used and signals come in, the account to use comes out. Whether a login is good
//! is the caller's to find out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::{Pod, mutant};
use super::account::Account;

/// How long what lasts, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// An account's turn.
    pub interval: f64,
    /// For how long an account is parked whose usage cap was reached.
    pub usage_cap: f64,
    /// For how long one is that got another 429.
    pub transient: f64,
}

/// Why the account in use was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    UsageCap,
    Transient,
}

impl Limit {
    pub fn words(self) -> &'static str {
        match self {
            Limit::UsageCap => "usage cap",
            Limit::Transient => "transient",
        }
    }
}

/// An account that was parked just now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parked {
    pub account: Account,
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Park {
    at: f64,
    until: f64,
}

/// The accounts and whose turn it is.
#[derive(Clone)]
pub struct Rotation {
    policy: Policy,
    pod: Pod,
    active: Option<Account>,
    /// When its turn began.
    since: f64,
    parks: BTreeMap<Account, Park>,
    /// Since when there is a rotation; a mutant waits from there.
    started: Option<f64>,
}

impl Rotation {
    pub fn new(pod: &Pod, policy: Policy) -> Rotation {
        Rotation {
            policy,
            pod: pod.clone(),
            active: None,
            since: 0.0,
            parks: BTreeMap::new(),
            started: None,
        }
    }

    pub fn active(&self) -> Option<Account> {
        self.active
    }

    /// One look at the time. `usable` are the accounts with a good login, `limit` is that of a fresh signal.
    pub fn step(&mut self, now: f64, usable: &[Account], limit: Option<Limit>) -> Option<Parked> {
        let started = *self.started.get_or_insert(now);
        if !self.pod.has(&mutant::PARKED_FOR_EVER) {
            self.parks.retain(|_, park| park.until > now);
        }
        // A clock that was set back must not make a turn or a park last longer.
        self.since = self.since.min(now);
        for park in self.parks.values_mut().filter(|park| park.at > now) {
            park.until -= park.at - now;
            park.at = now;
        }
        let waits = self.pod.has(&mutant::FIRST_AFTER_INTERVAL) && now < started + self.policy.interval;
        let mut parked = None;
        if let (Some(limit), Some(account)) = (limit, self.active)
            && !self.pod.has(&mutant::PARKS_THE_NEXT)
        {
            parked = Some(self.park(account, limit, now));
        }
        if self.is_due(now, usable) || limit.is_some() {
            self.take(now, if waits { &[] } else { usable });
        }
        if let (Some(limit), Some(account)) = (limit, self.active)
            && self.pod.has(&mutant::PARKS_THE_NEXT)
        {
            parked = Some(self.park(account, limit, now));
        }
        parked
    }

    /// Seconds until the turn of the active account is over.
    pub fn rest(&self, now: f64) -> f64 {
        match self.active {
            Some(_) => (self.since + self.policy.interval - now).max(0.0),
            None => f64::INFINITY,
        }
    }

    fn is_due(&self, now: f64, usable: &[Account]) -> bool {
        let Some(active) = self.active else { return true };
        // Where all are parked, one of them is in use until another is not.
        let is_capped = self.parks.contains_key(&active) && usable.iter().any(|other| !self.parks.contains_key(other));
        let is_over = now >= self.since + self.policy.interval || self.pod.has(&mutant::INTERVAL_IGNORED);
        !usable.contains(&active) || is_capped || is_over && !self.pod.has(&mutant::NEVER_ROTATES)
    }

    fn park(&mut self, account: Account, limit: Limit, now: f64) -> Parked {
        let limit = match limit {
            Limit::UsageCap if self.pod.has(&mutant::KINDS_SWAPPED) => Limit::Transient,
            Limit::Transient if self.pod.has(&mutant::KINDS_SWAPPED) => Limit::UsageCap,
            limit => limit,
        };
        let seconds = match limit {
            Limit::UsageCap => self.policy.usage_cap,
            Limit::Transient => self.policy.transient,
        };
        let until = now + seconds;
        self.parks.insert(account, Park { at: now, until });
        Parked { account, seconds }
    }

    /// Takes the account whose turn it is; none where none can be used.
    fn take(&mut self, now: f64, usable: &[Account]) {
        let end = self.since + self.policy.interval;
        // A turn begins where the last one ended, so that a late look makes none of them longer. One that was
        // cut short, or ended long ago, says nothing of the next.
        let is_in_time = self.active.is_some() && end <= now && now - end < self.policy.interval;
        self.since = if is_in_time { end } else { now };
        self.active = self.next(usable);
    }

    fn next(&self, usable: &[Account]) -> Option<Account> {
        let mut order: Vec<Account> = Account::ALL.to_vec();
        if self.pod.has(&mutant::ORDER_REVERSED) {
            order.reverse();
        }
        // Those behind the active one come first, itself last.
        if let Some(at) = order.iter().position(|account| Some(*account) == self.active) {
            let behind = order.len() - at - 1;
            order.rotate_left(at + 1);
            if self.pod.has(&mutant::NEVER_CYCLES_BACK) {
                order.truncate(behind);
                order.extend(self.active);
            }
        } else if self.pod.has(&mutant::ORDER_REVERSED) {
            order.rotate_right(1);
        }
        let usable: Vec<Account> = order.into_iter().filter(|account| usable.contains(account)).collect();
        let free = usable.iter().find(|account| !self.parks.contains_key(*account));
        if free.is_none() && self.pod.has(&mutant::ALL_PARKED_TAKES_NONE) {
            return None;
        }
        free.or_else(|| self.least_recently_parked(&usable)).copied()
    }

    fn least_recently_parked<'u>(&self, usable: &'u [Account]) -> Option<&'u Account> {
        let at = |account: &&Account| self.parks.get(*account).map_or(0.0, |park| park.at);
        let by_time = |one: &&Account, other: &&Account| at(one).total_cmp(&at(other));
        match self.pod.has(&mutant::ALL_PARKED_TAKES_LATEST) {
            true => usable.iter().max_by(by_time),
            false => usable.iter().min_by(by_time),
        }
    }

    /// What is kept over a restart: `{"active","since","parked","parked_at"}`.
    pub fn state(&self) -> Value {
        let times = |time: fn(&Park) -> f64| -> Map<String, Value> {
            let parks = self.parks.iter();
            parks
                .map(|(account, park)| (account.number().to_string(), json!(time(park))))
                .collect()
        };
        json!({
            "active": self.active.map(Account::number),
            "since": self.since,
            "parked": times(|park| park.until),
            "parked_at": times(|park| park.at),
        })
    }

    /// Goes on from a state that was kept. What is wrong with it counts as not there.
    pub fn restore(&mut self, state: &Value) {
        let time = |value: &Value| value.as_f64().filter(|time| time.is_finite());
        let active = state["active"].as_u64();
        self.active = active.and_then(|number| Account::named(&number.to_string()));
        self.since = time(&state["since"]).unwrap_or(0.0);
        for account in Account::ALL {
            let number = account.number().to_string();
            if let Some(until) = time(&state["parked"][&number]) {
                let at = time(&state["parked_at"][&number]).unwrap_or(0.0);
                self.parks.insert(account, Park { at, until });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pod::tests::pod;
    use super::*;

    const POLICY: Policy = Policy {
        interval: 10.0,
        usage_cap: 1000.0,
        transient: 50.0,
    };

    /// Time, usable accounts, signal, and the account that is in use then.
    type Case = (f64, &'static str, Option<Limit>, u8);

    const CAP: Option<Limit> = Some(Limit::UsageCap);
    const SOFT: Option<Limit> = Some(Limit::Transient);

    fn accounts(numbers: &str) -> Vec<Account> {
        numbers.split_terminator(' ').filter_map(Account::named).collect()
    }

    fn run(mutants: &str, cases: &[Case]) -> Result<(), String> {
        let mut rotation = Rotation::new(&pod(&[("GAUNTLET_MUTANTS", mutants)]), POLICY);
        for (at, usable, limit, expected) in cases {
            rotation.step(*at, &accounts(usable), *limit);
            let active = rotation.active().map_or(0, Account::number);
            if active != *expected {
                return Err(format!("at {at} with {usable}: {active}, not {expected}"));
            }
        }
        Ok(())
    }

    const CYCLE: &[Case] = &[
        (100.0, "1 2 3", None, 1),
        (109.9, "1 2 3", None, 1),
        (110.1, "1 2 3", None, 2),
        // The turn began at 110.
        (120.0, "1 2 3", None, 3),
        (130.0, "1 2 3", None, 1),
    ];
    const SKIPS: &[Case] = &[
        (0.0, "", None, 0),
        (1.0, "2 3", None, 2),
        // Its login went.
        (2.0, "1 3", None, 3),
        (12.0, "1 3", None, 1),
        (22.0, "1", None, 1),
        (32.0, "1", None, 1),
        (33.0, "", None, 0),
        (34.0, "3", None, 3),
    ];
    const PARKS: &[Case] = &[
        (100.0, "1 2 3", None, 1),
        (101.0, "1 2 3", CAP, 2),
        (102.0, "1 2 3", SOFT, 3),
        (112.0, "1 2 3", None, 3),
        // 2 comes back after 50 seconds, 1 after 1000.
        (153.0, "1 2 3", None, 2),
        (163.0, "1 2 3", None, 3),
        (1102.0, "1 2 3", None, 1),
    ];
    const ALL_PARKED: &[Case] = &[
        (100.0, "1 2 3", None, 1),
        (101.0, "1 2 3", CAP, 2),
        (102.0, "1 2 3", CAP, 3),
        (103.0, "1 2 3", CAP, 1),
        (104.0, "1 2 3", CAP, 2),
        (114.0, "1 2 3", None, 2),
        // A dead one and parked ones.
        (115.0, "3", None, 3),
    ];
    const FREED: &[Case] = &[
        (100.0, "1 2", None, 1),
        (101.0, "1 2", CAP, 2),
        (102.0, "1 2", SOFT, 1),
        // 1 is parked until 1101, 2 is free at 152: no turn is waited for.
        (151.9, "1 2", None, 1),
        (152.1, "1 2", None, 2),
    ];

    #[test]
    fn decisions_over_time() {
        for cases in [CYCLE, SKIPS, PARKS, ALL_PARKED, FREED] {
            run("", cases).expect("as the contract says");
        }
    }

    #[test]
    fn mutants_decide_otherwise() {
        for (mutant, cases) in [
            ("first-after-interval", CYCLE),
            ("interval-ignored", CYCLE),
            ("never-rotates", CYCLE),
            ("never-cycles-back", CYCLE),
            ("order-reversed", CYCLE),
            ("kinds-swapped", PARKS),
            ("parked-for-ever", PARKS),
            ("parks-the-next", PARKS),
            ("all-parked-takes-none", ALL_PARKED),
            ("all-parked-takes-latest", ALL_PARKED),
        ] {
            assert!(run(mutant, cases).is_err(), "{mutant}");
        }
        let reversed: &[Case] = &[
            (0.0, "1 2 3", None, 1),
            (10.0, "1 2 3", None, 3),
            (20.0, "1 2 3", None, 2),
            (30.0, "1 2 3", None, 1),
        ];
        run("order-reversed", reversed).expect("the other way round");
    }

    #[test]
    fn a_clock_that_jumps() {
        // A day back: turns and parks last no longer than they would have.
        let back: &[Case] = &[
            (100_000.0, "1 2", None, 1),
            (100_001.0, "1 2", SOFT, 2),
            (13_000.0, "1 2", None, 2),
            (13_010.0, "1 2", None, 2),
            (13_049.9, "1 2", None, 2),
            (13_060.0, "1 2", None, 1),
        ];
        run("", back).expect("no longer");
        // A day on: one turn is over, and not all that would have been.
        let on: &[Case] = &[
            (100.0, "1 2 3", None, 1),
            (86_500.0, "1 2 3", None, 2),
            (86_509.0, "1 2 3", None, 2),
            (86_510.0, "1 2 3", None, 3),
        ];
        run("", on).expect("one turn");
    }

    #[test]
    fn a_signal_parks_whom_it_is_about() {
        let mut rotation = Rotation::new(&pod(&[]), POLICY);
        assert_eq!(rotation.step(0.0, &[], SOFT), None);
        rotation.step(1.0, &Account::ALL, None);
        let parked = rotation.step(2.0, &Account::ALL, CAP).expect("parked");
        assert_eq!((parked.account, parked.seconds), (Account::ALL[0], 1000.0));
        assert_eq!(rotation.active(), Some(Account::ALL[1]));
    }

    #[test]
    fn a_restart_goes_on() {
        let mut before = Rotation::new(&pod(&[]), POLICY);
        before.step(100.0, &Account::ALL, None);
        before.step(101.0, &Account::ALL, CAP);
        let mut after = Rotation::new(&pod(&[]), POLICY);
        after.restore(&before.state());
        assert_eq!(after.state(), before.state());
        after.step(105.0, &Account::ALL, None);
        assert_eq!(after.active(), Some(Account::ALL[1]));
        after.step(111.0, &Account::ALL, None);
        after.step(121.0, &Account::ALL, None);
        assert_eq!(after.active(), Some(Account::ALL[1]), "the first one is parked");
        assert_eq!(after.rest(124.5), 6.5);
    }

    #[test]
    fn a_state_that_is_none_is_a_fresh_start() {
        for state in [
            json!(null),
            json!([1]),
            json!({ "active": 4, "since": "x", "parked": { "1": "x", "9": 1e9 } }),
            json!({ "active": -1, "since": 1e300, "parked": 7 }),
        ] {
            let mut rotation = Rotation::new(&pod(&[]), POLICY);
            rotation.restore(&state);
            rotation.step(5.0, &Account::ALL, None);
            assert_eq!(rotation.active(), Some(Account::ALL[0]), "{state}");
        }
    }
}
