//! The time, and durations as the contract's variables have them.

use std::time::Duration;

use super::super::{ComponentError, Pod};

/// Seconds since 1970.
pub fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

/// The longest time that a variable may name: a year.
const LONGEST: f64 = 365.0 * 24.0 * 3600.0;

/// A variable `…_SEC`: seconds, also with a fraction.
///
/// # Errors
/// No number, one below nought, or more than a year.
pub fn seconds(pod: &Pod, name: &str, default: f64) -> Result<f64, ComponentError> {
    let seconds: f64 = match pod.var(name).filter(|text| !text.trim().is_empty()) {
        Some(_) => pod.number(name, default)?,
        None => default,
    };
    match (0.0..=LONGEST).contains(&seconds) {
        true => Ok(seconds),
        false => Err(ComponentError(format!(
            "{name} is {seconds}, and must be seconds from 0 to {LONGEST}"
        ))),
    }
}

/// A time to wait, of seconds that may be anything.
pub fn wait(seconds: f64) -> Duration {
    Duration::from_secs_f64(if seconds.is_finite() {
        seconds.clamp(0.0, LONGEST)
    } else {
        0.0
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::pod::tests::pod;
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction() {
        let of = |text: &str| seconds(&pod(&[("X_SEC", text)]), "X_SEC", 7.0).ok();
        for (text, expected) in [
            ("0.25", Some(0.25)),
            ("10800", Some(10800.0)),
            ("0", Some(0.0)),
            ("", Some(7.0)),
            ("-1", None),
            ("NaN", None),
            ("inf", None),
            ("1s", None),
            ("1e30", None),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(seconds(&pod(&[]), "X_SEC", 7.0).ok(), Some(7.0));
    }
}
