//! What gauntlet itself does, line by line on standard error: for when it misbehaves.
//!
//! Only of commands that know what is secret: all that is told passes their redactor.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use super::exit::UsageError;
use crate::redact::Redactor;
use crate::report::printable;

/// The variable that says how much is told.
pub const VARIABLE: &str = "GAUNTLET_LOG";

/// What it may hold.
const FORM: &str = "a level (off, error, warn, info, debug, trace), or levels of modules as `gauntlet=trace,kube=info`";

/// How much is to be told: as the variable says, and where it is not set as often as `-v` is given; none: nothing.
///
/// # Errors
/// The variable holds something else than levels.
pub fn levels(variable: Option<&str>, verbose: u8) -> Result<Option<Targets>, UsageError> {
    match (variable.map(str::trim).filter(|text| !text.is_empty()), verbose) {
        (Some(text), _) => parse(text).map(Some),
        (None, 0 | 1) => Ok(None),
        (None, 2) => Ok(Some(Targets::new().with_default(LevelFilter::DEBUG))),
        (None, _) => Ok(Some(Targets::new().with_default(LevelFilter::TRACE))),
    }
}

/// A misspelt level would be a module for the library, and tell nothing.
fn parse(text: &str) -> Result<Targets, UsageError> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim) {
        let (module, name) = match part.split_once('=') {
            Some((module, name)) => (Some(module.trim()), name.trim()),
            None => (None, part),
        };
        let level = level(name).ok_or_else(|| UsageError(format!("{VARIABLE}: {part:?} is not {FORM}")))?;
        targets = match module {
            Some(module) => targets.with_target(module, level),
            None => targets.with_default(level),
        };
    }
    Ok(targets)
}

fn level(name: &str) -> Option<LevelFilter> {
    let levels = [
        ("off", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    let found = levels.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, level)| level)
}

/// Tells from now on, until the process ends.
pub fn begin(levels: Targets, redactor: Redactor) {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(Redacted(redactor))
        .with_filter(levels);
    // One for the process; a second one is refused, and there is none.
    let _set = tracing::subscriber::set_global_default(Registry::default().with(lines));
}

/// Makes what events are written to.
struct Redacted(Redactor);

impl<'a> MakeWriter<'a> for Redacted {
    type Writer = Told<'a>;

    fn make_writer(&'a self) -> Told<'a> {
        Told {
            redactor: &self.0,
            text: Vec::new(),
        }
    }
}

/// An event on its way. It is put out as a whole: a secret could lie across two parts of it.
struct Told<'a> {
    redactor: &'a Redactor,
    text: Vec<u8>,
}

impl Write for Told<'_> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            // Who closed it does not want to know.
            let _closed = io::stderr()
                .lock()
                .write_all(shown(&self.text, self.redactor).as_bytes());
        }
    }
}

/// As it may be shown: without secrets, and without what a terminal would take for orders.
fn shown(text: &[u8], redactor: &Redactor) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(text);
    printable(&redactor.redact(&text)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_counts_before_the_flags() {
        let told = |variable, verbose| levels(variable, verbose).expect("levels");
        assert_eq!(told(None, 0), None);
        assert_eq!(told(None, 1), None);
        assert_eq!(told(Some(" "), 0), None);
        let all = |level| Some(Targets::new().with_default(level));
        assert_eq!(told(None, 2), all(LevelFilter::DEBUG));
        assert_eq!(told(None, 3), all(LevelFilter::TRACE));
        assert_eq!(told(Some("warn"), 3), all(LevelFilter::WARN));
        let of_modules = Targets::new()
            .with_target("gauntlet", LevelFilter::TRACE)
            .with_target("kube", LevelFilter::INFO);
        assert_eq!(told(Some("gauntlet=TRACE, kube=info"), 0), Some(of_modules));
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for wrong in ["debgu", "gauntlet=", "gauntlet=loud", "debug,", "5"] {
            let refused = levels(Some(wrong), 0).expect_err(wrong);
            assert!(refused.to_string().starts_with("GAUNTLET_LOG: "), "{refused}");
        }
    }

    #[test]
    fn a_line_is_shown_without_secrets_and_orders() {
        let redactor = Redactor::new();
        redactor.add("TOKEN", "0123456789abcdef").expect("a secret");
        let line = b"asking \x1b[2J with MDEyMzQ1Njc4OWFiY2RlZg==\n";
        assert_eq!(shown(line, &redactor), "asking \\u{1b}[2J with $TOKEN\n");
        let mut told = Told {
            redactor: &redactor,
            text: Vec::new(),
        };
        told.write_all(b"0123456789").expect("kept");
        told.write_all(b"abcdef").expect("kept");
        assert_eq!(shown(&told.text, &redactor), "$TOKEN");
        told.text.clear();
    }
}
