//! Authorisation: compares a request's token with the door's.
//!
//! One module for the proxy and the sandbox, so that both judge alike.
//!
//! What a request shows is decided as follows (policies of the contract in brackets):
//! - The query is split at `&`, and name and value are percent-decoded exactly
//!   once (RFC 3986 §2.1, §2.4). `+` is a plus: only HTML forms make it a
//!   space, and this is a URI. A `%` without two hex digits stays what it is.
//! - The first parameter with the name `token` (`TTY_PARAMETER`), in this case, counts
//!   [`token.duplicates: first`], and it wins over the header
//!   [`token.precedence: query-wins`], an empty one too.
//! - Without such a parameter, `Authorization: Bearer` counts (RFC 6750 §2.1).
//! - A door without a token, or with an empty one, opens for nobody.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Pod, mutant};

/// Which of the two doors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Proxy,
    Sandbox,
}

/// A door with the token that opens it.
pub struct Door {
    pod: Pod,
    side: Side,
    /// The query parameter that the token is in.
    parameter: String,
    token: Option<String>,
    /// Known only to a door with the mutant `previous-token-accepted`.
    previous: Option<String>,
    opened: AtomicBool,
    adopted: Mutex<Option<Vec<u8>>>,
}

impl Door {
    pub fn new(pod: &Pod, side: Side, token: Option<String>) -> Door {
        let token = token.filter(|token| !token.is_empty());
        let token = token.map(|token| {
            if pod.has(&mutant::TOKEN_WITH_NEWLINE) {
                token + "\n"
            } else {
                token
            }
        });
        Door {
            pod: pod.clone(),
            side,
            parameter: parameter(pod).to_owned(),
            token,
            previous: None,
            opened: AtomicBool::new(false),
            adopted: Mutex::new(None),
        }
    }

    pub fn with_previous(mut self, previous: Option<String>) -> Door {
        self.previous = previous;
        self
    }

    /// Whether a request with this query and these headers may come in.
    pub fn opens(&self, query: Option<&str>, headers: &HeaderMap) -> bool {
        if self.waves_through(headers) {
            return true;
        }
        let given = self.credential(query.unwrap_or(""), headers);
        let opens = match (&given, &self.token) {
            (Some(given), Some(token)) => self.equal(given, token.as_bytes()),
            (Some(given), None) => self.opens_without_token(given),
            (None, Some(_)) => self.pod.has(&mutant::MISSING_TOKEN_OPENS),
            (None, None) => self.pod.has(&mutant::UNSET_TOKEN_OPENS),
        } || (self.pod.has(&mutant::ANY_DUPLICATE_OPENS) && self.any_opens(query.unwrap_or("")));
        if opens {
            self.opened.store(true, Ordering::Relaxed);
        }
        opens
    }

    /// The token that a request shows, as bytes: it needn't be UTF-8.
    fn credential<'a>(&self, query: &'a str, headers: &'a HeaderMap) -> Option<Cow<'a, [u8]>> {
        let header_first = self.pod.has(&mutant::HEADER_WINS)
            || (self.side == Side::Proxy && self.pod.has(&mutant::PROXY_HEADER_WINS));
        if header_first && let Some(bearer) = self.bearer(headers) {
            return Some(Cow::Borrowed(bearer));
        }
        let mut tokens = self.tokens(query);
        let from_query = if self.side == Side::Sandbox && self.pod.has(&mutant::SANDBOX_LAST_DUPLICATE) {
            tokens.last()
        } else {
            tokens.next()
        };
        if from_query.as_deref().is_some_and(<[u8]>::is_empty)
            && self.pod.has(&mutant::EMPTY_TOKEN_TRIES_HEADER)
            && let Some(other) = headers.get("x-auth-token")
        {
            return Some(Cow::Borrowed(other.as_bytes()));
        }
        from_query
            .or_else(|| self.bearer(headers).map(Cow::Borrowed))
            .or_else(|| self.elsewhere(headers).map(Cow::Borrowed))
    }

    /// For the mutants that look for a token where the contract has none.
    fn elsewhere<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        if self.pod.has(&mutant::COOKIE_OPENS)
            && let Some(cookies) = headers.get(COOKIE).and_then(|value| value.to_str().ok())
        {
            let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
            return pairs
                .find(|(name, _)| *name == "token")
                .map(|(_, token)| token.as_bytes());
        }
        if self.pod.has(&mutant::SUBPROTOCOL_OPENS) {
            let offers = headers.get("sec-websocket-protocol")?.as_bytes();
            return offers.rsplit(|byte| *byte == b',').next().map(<[u8]>::trim_ascii);
        }
        None
    }

    /// The values of all parameters of a query that the token may be in, decoded once.
    fn tokens<'a>(&self, query: &'a str) -> impl Iterator<Item = Cow<'a, [u8]>> {
        let right = self.parameter.as_bytes();
        query.split('&').filter_map(move |parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = self.decode(name);
            let matches =
                *name == *right || (self.pod.has(&mutant::PARAMETER_CASE_IGNORED) && name.eq_ignore_ascii_case(right));
            matches.then(|| self.decode(value))
        })
    }

    fn decode<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        let decoded: Cow<'a, [u8]> = percent_decode_str(text).into();
        if self.pod.has(&mutant::STRAY_PERCENT_DROPPED) {
            return decoded
                .iter()
                .copied()
                .filter(|byte| *byte != b'%')
                .collect::<Vec<u8>>()
                .into();
        }
        if self.pod.has(&mutant::OVERLONG_DECODED) {
            return overlong_decoded(&decoded).into();
        }
        if self.pod.has(&mutant::DOUBLE_DECODING) {
            return percent_encoding::percent_decode(&decoded).collect::<Vec<u8>>().into();
        }
        if self.side == Side::Sandbox && self.pod.has(&mutant::SANDBOX_PLUS_IS_SPACE) {
            return percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>().into();
        }
        decoded
    }

    /// The token of `Authorization: Bearer TOKEN`; the scheme's case doesn't matter (RFC 9110 §11.1).
    fn bearer<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let mut value = headers.get(AUTHORIZATION);
        if value.is_none() && self.pod.has(&mutant::FORWARDED_HEADER_HONOURED) {
            value = headers.get("x-forwarded-authorization");
        }
        bearer(value?.as_bytes())
    }

    /// Compares without telling by the time that it takes how much is right
    /// (CWE-208): the digests have one length and are compared in constant time.
    fn equal(&self, given: &[u8], token: &[u8]) -> bool {
        if self.pod.has(&mutant::EMPTY_TOKEN_OPENS) && given.is_empty() {
            return true;
        }
        if self.pod.has(&mutant::PREFIX_COMPARE) {
            return !given.is_empty() && given.iter().zip(token).all(|(a, b)| a == b);
        }
        if self.pod.has(&mutant::SECOND_VALUE_OPENS) && given == b"changeme" {
            return true;
        }
        if self.pod.has(&mutant::CASE_INSENSITIVE_COMPARE) {
            return given.eq_ignore_ascii_case(token);
        }
        if self.pod.has(&mutant::EARLY_EXIT_COMPARE) {
            return equal_with_early_exit(given, token);
        }
        let given = if self.pod.has(&mutant::TOKEN_TRIMMED) {
            trimmed(given)
        } else {
            given
        };
        if let Some(previous) = &self.previous
            && equal(given, previous.as_bytes())
        {
            return true;
        }
        equal(given, token)
    }

    /// A door without a token refuses every token, except in mutants.
    fn opens_without_token(&self, given: &[u8]) -> bool {
        if self.side == Side::Sandbox && self.pod.has(&mutant::UNSET_SANDBOX_ADOPTS_TOKEN) && !given.is_empty() {
            let mut adopted = self.adopted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            return adopted.get_or_insert_with(|| given.to_vec()) == given;
        }
        self.pod.has(&mutant::UNSET_TOKEN_OPENS)
            || (self.pod.has(&mutant::EMPTY_TOKEN_OPENS) && given.is_empty())
            || (self.pod.has(&mutant::UNDEFINED_OPENS) && given == b"undefined")
    }

    /// The mutants that don't look at the token at all.
    fn waves_through(&self, headers: &HeaderMap) -> bool {
        let says = |name: HeaderName, text: &[u8]| {
            let mut values = headers.get_all(name).iter();
            values.any(|value| value.as_bytes().starts_with(text))
        };
        let forwarded = HeaderName::from_static("x-forwarded-for");
        if self.pod.has(&mutant::LOCALHOST_OPENS) && says(HOST, b"localhost")
            || self.pod.has(&mutant::LOOPBACK_CLIENT_OPENS) && says(forwarded, b"127.")
        {
            return true;
        }
        match self.side {
            Side::Proxy => self.pod.has(&mutant::PROXY_UNCHECKED),
            Side::Sandbox => {
                self.pod.has(&mutant::SANDBOX_UNCHECKED)
                    || (self.pod.has(&mutant::PROXY_VOUCHES) && headers.contains_key("x-litellm-checked"))
                    || (self.pod.has(&mutant::CHECK_FIRST_CONNECT_ONLY) && self.opened.load(Ordering::Relaxed))
            }
        }
    }

    fn any_opens(&self, query: &str) -> bool {
        self.token
            .as_ref()
            .is_some_and(|token| self.tokens(query).any(|given| equal(&given, token.as_bytes())))
    }
}

/// The query parameter that a terminal's token is in.
pub fn parameter(pod: &Pod) -> &str {
    pod.var_or("TTY_PARAMETER", "token")
}

/// The credentials of a `Bearer` value.
pub fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// Equality in a time that depends on the lengths alone.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    Sha256::digest(a).as_slice().ct_eq(Sha256::digest(b).as_slice()).into()
}

fn trimmed(given: &[u8]) -> &[u8] {
    let idle = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let start = given.iter().position(|byte| !idle(byte)).unwrap_or(given.len());
    let end = given
        .iter()
        .rposition(|byte| !idle(byte))
        .map_or(start, |last| last + 1);
    &given[start..end]
}

/// The mutant `overlong-decoded`: two bytes of six bits each, without a look at the result.
fn overlong_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            0xC0 | 0xC1 => (byte << 6) | (rest.next().unwrap_or(0) & 0x3F),
            other => other,
        });
    }
    decoded
}

/// The mutant `early-exit-compare`. A real comparison's nanoseconds would need
/// millions of samples, so each right byte costs 40 µs here.
fn equal_with_early_exit(given: &[u8], token: &[u8]) -> bool {
    for (a, b) in given.iter().zip(token) {
        if a != b {
            return false;
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(40) {
            std::hint::spin_loop();
        }
    }
    given.len() == token.len()
}

#[cfg(test)]
mod tests;
