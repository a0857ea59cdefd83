//! All that the vendor knows: codes that people have to enter, and logins.

use std::collections::HashSet;

use super::behaviour::Behaviour;
use super::records::Records;
use super::tokens::{Network, random};

#[derive(Default)]
pub struct State {
    pub devices: Vec<Device>,
    pub logins: Vec<Login>,
    pub behaviour: Behaviour,
    pub records: Records,
}

/// A device flow.
pub struct Device {
    /// `device_auth_id`, or `device_code`.
    pub id: String,
    pub user_code: String,
    /// Where it was asked for: what comes of it is bound to that.
    pub network: Network,
    pub expires_at: f64,
    /// Seconds between two polls, which RFC 8628 makes longer for those who don't keep to it.
    pub interval: f64,
    pub polled_at: f64,
    pub stage: Stage,
}

/// How far it is.
pub enum Stage {
    Pending,
    Denied,
    /// By a person with this account.
    Approved(String),
    /// A code was given, which can be exchanged once.
    Coded {
        account: String,
        code: String,
        verifier: String,
    },
    Done,
}

/// A login with all tokens that come of it.
pub struct Login {
    pub id: u64,
    pub account: String,
    pub network: Network,
    pub revoked: bool,
    /// The refresh token that is good.
    pub refresh: String,
    /// Those that were.
    pub spent: HashSet<String>,
}

impl State {
    /// Begins a device flow.
    pub fn device(&mut self, network: Network, now: f64, interval: f64) -> &Device {
        let user_code = user_code();
        self.devices.push(Device {
            id: random(),
            user_code,
            network,
            expires_at: now + self.behaviour.code_ttl,
            interval,
            polled_at: f64::NEG_INFINITY,
            stage: Stage::Pending,
        });
        &self.devices[self.devices.len() - 1]
    }

    /// A flow that a person has still to decide.
    pub fn pending(&mut self, user_code: &str, now: f64) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| {
            device.user_code == user_code && device.expires_at > now && matches!(device.stage, Stage::Pending)
        })
    }

    pub fn login(&mut self, account: &str, network: Network) -> &mut Login {
        let id = self.logins.len() as u64;
        self.logins.push(Login {
            id,
            account: account.to_owned(),
            network,
            revoked: false,
            refresh: random(),
            spent: HashSet::new(),
        });
        let last = self.logins.len() - 1;
        &mut self.logins[last]
    }
}

/// Eight letters that nobody takes for others, as `BCDF-GHJK` (RFC 8628 §6.1).
fn user_code() -> String {
    const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
    let bytes: [u8; 8] = rand::random();
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    let (one, other) = bytes.split_at(4);
    let text = |bytes: &[u8]| bytes.iter().map(letter).collect::<String>();
    format!("{}-{}", text(one), text(other))
}
