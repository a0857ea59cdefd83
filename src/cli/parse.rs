//! Parsers of flags' values.

use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::events::seed::LARGEST;
use crate::report::{Formats, Spec};
use crate::vocabulary::duration::{LONG_FORM, parse_long};

/// What is no value of a flag.
#[derive(Debug, thiserror::Error)]
pub enum InvalidValue {
    #[error("too large")]
    TooMany,
    #[error("not a whole number from 1 on")]
    NoCount,
    #[error("must be longer than zero")]
    NoTime,
    #[error("not {LONG_FORM}")]
    NoDuration,
    #[error("not a whole number from 0 to {LARGEST}")]
    NoSeed,
}

/// Parses a count of at least one.
pub fn at_least_one<N>(text: &str) -> Result<N, InvalidValue>
where
    N: FromStr<Err = ParseIntError>,
{
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => InvalidValue::TooMany,
        _ => InvalidValue::NoCount,
    })
}

/// Parses `FORMAT[=FILE]`; the file's name may be no text.
pub fn report_spec<F: Formats + Send + Sync>() -> impl TypedValueParser<Value = Spec<F>> {
    OsStringValueParser::new().try_map(Spec::of_argument)
}

/// Parses a duration that isn't zero.
pub fn duration(text: &str) -> Result<Duration, InvalidValue> {
    match parse_long(text) {
        Some(Duration::ZERO) => Err(InvalidValue::NoTime),
        Some(duration) => Ok(duration),
        None => Err(InvalidValue::NoDuration),
    }
}

/// Parses a seed of random values.
pub fn seed(text: &str) -> Result<u64, InvalidValue> {
    text.parse::<u64>()
        .ok()
        .filter(|seed| *seed <= LARGEST)
        .ok_or(InvalidValue::NoSeed)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn what_is_no_value_is_said() {
        let count = |text: &str| at_least_one::<NonZeroU32>(text).map_err(|error| error.to_string());
        assert_eq!(count("1").map(NonZeroU32::get), Ok(1));
        for text in ["0", "-1", "x", ""] {
            assert_eq!(count(text), Err("not a whole number from 1 on".to_owned()), "{text}");
        }
        assert_eq!(count("4294967296"), Err("too large".to_owned()));
        assert!(matches!(duration("0s"), Err(InvalidValue::NoTime)));
        assert!(matches!(duration("soon"), Err(InvalidValue::NoDuration)));
        assert_eq!(duration("2s").ok(), Some(Duration::from_secs(2)));
        let said = seed("9007199254740992").map_err(|error| error.to_string());
        assert_eq!(said, Err("not a whole number from 0 to 9007199254740991".to_owned()));
        assert_eq!(seed("9007199254740991").ok(), Some(LARGEST));
    }
}
