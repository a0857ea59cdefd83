//! The state of a load that is under way, as a few lines of text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::recorder::Second;
use super::summary::milliseconds;
use crate::report::cut;

/// A load so far.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Attaches that are to be open at once.
    attaches: u32,
    /// How long the load takes if all goes as planned.
    planned: Duration,
    last: Second,
    errors: u64,
    /// Failures of attaches with the right token so far, by kind.
    failures: BTreeMap<String, u64>,
}

impl Progress {
    /// Of a load of so many attaches that takes about so long.
    pub fn new(attaches: u32, planned: Duration) -> Progress {
        Progress {
            attaches,
            planned,
            last: Second::default(),
            errors: 0,
            failures: BTreeMap::new(),
        }
    }

    /// Takes note of a second. A kind of failure may quote the server: `shown` makes it fit to be shown.
    pub fn see(&mut self, second: &Second, shown: impl Fn(&str) -> String) {
        self.errors += second.errors;
        for (kind, count) in &second.failures {
            *self.failures.entry(shown(kind)).or_default() += count;
        }
        self.last = second.clone();
    }

    /// The lines, each of at most `width` characters.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let last = &self.last;
        let lines = [
            format!(
                " {} of {}, {} of {} open",
                clock(last.at),
                clock(self.planned.as_secs_f64()),
                last.open,
                self.attaches
            ),
            measured("attach", last.opened, last.attach_p50, last.attach_p99),
            measured("echo", last.echoes, last.echo_p50, last.echo_p99),
            format!(" lag    p99 {}", time(last.lag_p99)),
            self.errors(),
        ];
        lines.iter().map(|line| cut(line, width).into_owned()).collect()
    }

    /// The kinds with most failures first.
    fn errors(&self) -> String {
        let mut text = format!(" errors {}", self.errors);
        let mut kinds: Vec<(&String, &u64)> = self.failures.iter().collect();
        kinds.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
        for (number, (kind, count)) in kinds.into_iter().enumerate() {
            let before = if number == 0 { ": " } else { ", " };
            // Writing into memory doesn't fail.
            let _written = write!(text, "{before}{count} {kind}");
        }
        text
    }
}

fn measured(what: &str, in_a_second: u64, p50: Option<f64>, p99: Option<f64>) -> String {
    format!(
        " {what:<6} {in_a_second:>5}/s p50 {:>7} p99 {:>7}",
        time(p50),
        time(p99)
    )
}

fn time(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), milliseconds)
}

/// `0:07`, `1:00:07`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second() -> Second {
        Second {
            at: 7.0,
            open: 3500,
            attempted: 500,
            opened: 500,
            echoes: 3412,
            attach_p50: Some(0.29),
            attach_p99: Some(172.0),
            echo_p50: Some(0.1),
            echo_p99: Some(11_230.0),
            lag_p99: Some(0.13),
            ..Second::default()
        }
    }

    fn failed(kinds: &[(&str, u64)]) -> Second {
        Second {
            errors: kinds.iter().map(|(_, count)| count).sum(),
            failures: kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
            ..second()
        }
    }

    fn lines(seconds: &[Second], width: usize) -> Vec<String> {
        let mut progress = Progress::new(5000, Duration::from_secs(70));
        seconds.iter().for_each(|second| progress.see(second, str::to_owned));
        progress.lines(width)
    }

    #[test]
    fn a_narrow_terminal_shows_all_figures() {
        let expected = [
            " 0:07 of 1:10, 3500 of 5000 open",
            " attach   500/s p50 0.29 ms p99  172 ms",
            " echo    3412/s p50 0.10 ms p99  11.2 s",
            " lag    p99 0.13 ms",
            " errors 0",
        ];
        for width in [40, 80, 200] {
            assert_eq!(lines(&[second()], width), expected, "{width}");
        }
    }

    #[test]
    fn errors_are_added_up_by_kind_and_cut_to_the_width() {
        let seconds = [
            failed(&[("reset", 2), ("status 503", 1)]),
            failed(&[("status 503", 4), ("timed out: upgrade", 1)]),
        ];
        let whole = " errors 8: 5 status 503, 2 reset, 1 timed out: upgrade";
        assert_eq!(lines(&seconds, 200)[4], whole);
        assert_eq!(lines(&seconds, 80)[4], whole);
        assert_eq!(lines(&seconds, 40)[4], " errors 8: 5 status 503, 2 reset, 1 tim…");
        for width in [40, 80, 200] {
            assert!(lines(&seconds, width).iter().all(|line| line.chars().count() <= width));
        }
    }

    #[test]
    fn what_was_not_measured_is_a_dash() {
        let quiet = Second {
            at: 3601.0,
            open: 5000,
            ..Second::default()
        };
        let quiet = lines(&[failed(&[("reset", 1)]), quiet], 80);
        assert_eq!(
            quiet,
            [
                " 1:00:01 of 1:10, 5000 of 5000 open",
                " attach     0/s p50       - p99       -",
                " echo       0/s p50       - p99       -",
                " lag    p99 -",
                " errors 1: 1 reset",
            ]
        );
    }

    #[test]
    fn a_kind_is_shown_as_it_may_be() {
        let mut progress = Progress::new(1, Duration::ZERO);
        progress.see(&failed(&[("TLS: \u{1b}[2J", 1)]), |kind| kind.replace('\u{1b}', "?"));
        assert_eq!(progress.lines(80)[4], " errors 1: 1 TLS: ?[2J");
    }
}
