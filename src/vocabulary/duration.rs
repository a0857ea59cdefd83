//! Lengths of time as scenarios write them.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// What a length of time must look like.
pub const FORM: &str = "a number of up to nine digits and `us`, `ms`, `s` or `m`, as `500ms` or `30s`";

/// The same where hours are taken as well.
pub const LONG_FORM: &str = "a number of up to nine digits and `us`, `ms`, `s`, `m` or `h`, as `500ms`, `30s` or `1h`";

/// Most digits before the point: a clock can still add what is read.
const DIGITS: usize = 9;

/// Reads `20us`, `500ms`, `1.5s`, `2m`, of up to nine digits before the point.
pub fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    if number.split('.').next().is_some_and(|whole| whole.len() > DIGITS) {
        return None;
    }
    if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
        return None;
    }
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// Reads what [`parse`] does, and hours: `1h`, for command lines.
pub fn parse_long(text: &str) -> Option<Duration> {
    match text.strip_suffix('h') {
        Some(hours) => parse(&format!("{hours}m"))?.checked_mul(60),
        None => parse(text),
    }
}

/// The shortest of the forms that says exactly this.
pub fn show(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        n if n >= 60_000_000_000 && n % 60_000_000_000 == 0 => format!("{}m", n / 60_000_000_000),
        n if n % 1_000_000_000 == 0 => format!("{}s", n / 1_000_000_000),
        n if n % 1_000_000 == 0 => format!("{}ms", n / 1_000_000),
        n => format!("{}us", n as f64 / 1_000.0),
    }
}

/// A key whose text is a length of time: for `#[schemars(with = "DurationText")]`.
pub struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^[0-9]{1,9}(\.[0-9]+)?(us|ms|s|m)$",
            "patternErrorMessage": "A length of time is a number of up to nine digits and us, ms, s or m: 500ms, 30s.",
            "description": "A length of time: 20us, 500ms, 30s, 2m."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(parse("20us"), Some(Duration::from_micros(20)));
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("2m"), Some(Duration::from_secs(120)));
        for bad in [
            "",
            "30",
            "s",
            "-1s",
            "1h",
            "1 s",
            "1.s",
            "1s2",
            "999999999999999999999m",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn hours_on_a_command_line() {
        assert_eq!(parse_long("1h"), Some(Duration::from_secs(3600)));
        assert_eq!(parse_long("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_long("2m"), Some(Duration::from_secs(120)));
        for bad in ["h", "1hh", "1mh", "-1h", "1.h"] {
            assert_eq!(parse_long(bad), None, "{bad}");
        }
    }

    #[test]
    fn shown_and_read_is_the_same() {
        for text in ["20us", "500ms", "1500ms", "2m", "90s", "0s"] {
            let duration = parse(text).expect("good");
            assert_eq!(show(duration), text);
        }
    }
}
