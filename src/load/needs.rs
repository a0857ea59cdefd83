//! How large a load has to be so that its objectives can be judged: a quantile of too few samples says nothing.

use std::time::Duration;

use super::metric::Metric;
use super::objective::{Figure, Objective};

/// Longest hold that is made for the sake of samples.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// The fewest samples that the objectives of a load take.
#[derive(Clone, Debug, PartialEq)]
pub struct Needs {
    /// Of what each attach gives one.
    each_attach: Need,
    /// Of what each echo gives one.
    echoes: Need,
    /// Between two echoes of an attach; without one there are none.
    echo_every: Option<Duration>,
    hold: Duration,
}

/// So many samples, and the objective that takes them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Need {
    samples: u64,
    objective: String,
}

impl Need {
    fn raise(&mut self, samples: u64, objective: &Objective) {
        if samples > self.samples {
            *self = Need {
                samples,
                objective: objective.to_string(),
            };
        }
    }
}

impl Needs {
    /// Of loads with these objectives that hold all attaches for at least so long.
    pub fn new(objectives: &[Objective], echo_every: Option<Duration>, hold: Duration) -> Needs {
        let (mut each_attach, mut echoes) = (Need::default(), Need::default());
        for objective in objectives {
            let Figure::Latency { steady, metric, of } = objective.figure() else {
                continue;
            };
            let need = match metric {
                Metric::Echo => &mut echoes,
                // Attaches have it while they begin, and echoes while they are held.
                Metric::Lag if steady => &mut echoes,
                _ => &mut each_attach,
            };
            need.raise(of.samples(), objective);
        }
        Needs {
            each_attach,
            echoes,
            echo_every: echo_every.filter(|every| !every.is_zero()),
            hold,
        }
    }

    /// The fewest attaches whose load can be judged, with the objective that takes them.
    pub fn least(&self) -> (u32, &str) {
        // Without echoes no number of attaches gives one.
        let for_echoes = self.echo_every.map_or(0, |every| {
            let each = echoes(self.hold.max(LONGEST_HOLD), every);
            self.echoes.samples.div_ceil(each.max(1))
        });
        let (least, objective) = match for_echoes > self.each_attach.samples {
            true => (for_echoes, &self.echoes.objective),
            false => (self.each_attach.samples, &self.each_attach.objective),
        };
        (u32::try_from(least).unwrap_or(u32::MAX).max(1), objective.as_str())
    }

    /// How long so many attaches are to be held, so that there are echoes enough.
    pub fn hold(&self, attaches: u32) -> Duration {
        let Some(every) = self.echo_every else { return self.hold };
        let each = self.echoes.samples.div_ceil(u64::from(attaches).max(1));
        if echoes(self.hold, every) >= each {
            return self.hold;
        }
        // Half a distance more: the first echo of the steady part comes at any moment of the first.
        let all = every.saturating_mul(u32::try_from(each).unwrap_or(u32::MAX));
        all.saturating_add(every / 2)
    }

    /// Where so many attaches are held longer than was asked: how long, and for which objective.
    pub fn longer(&self, attaches: u32) -> Option<(Duration, &str)> {
        let hold = self.hold(attaches);
        (hold > self.hold).then_some((hold, self.echoes.objective.as_str()))
    }
}

/// Echoes that each attach surely begins while it is held.
fn echoes(hold: Duration, every: Duration) -> u64 {
    u64::try_from(hold.as_nanos() / every.as_nanos().max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TWO: Duration = Duration::from_secs(2);

    fn needs(objectives: &[&str], echo_every: Option<Duration>) -> Needs {
        let objectives: Vec<Objective> = objectives
            .iter()
            .map(|objective| objective.parse().expect("an objective"))
            .collect();
        Needs::new(&objectives, echo_every, TWO)
    }

    #[test]
    fn counts_need_no_samples() {
        let needs = needs(&["errors == 0", "echo.count > 5"], Some(SECOND));
        assert_eq!(needs.least(), (1, ""));
        assert_eq!((needs.hold(1), needs.longer(1)), (TWO, None));
    }

    #[test]
    fn what_each_attach_gives_once_takes_as_many_attaches() {
        let needs = needs(&["attach.p50 < 1s", "attach.p99 < 500ms", "connect.max < 1s"], None);
        assert_eq!(needs.least(), (1000, "attach.p99 < 500ms"));
        assert_eq!((needs.hold(1000), needs.longer(1000)), (TWO, None));
    }

    /// 1,000 samples at one a second from each: 17 attaches give them within a minute, and 50 in 20 s.
    #[test]
    fn echoes_take_a_longer_hold() {
        let needs = needs(&["steady.echo.p99 < 100ms", "errors == 0"], Some(SECOND));
        assert_eq!(needs.least(), (17, "steady.echo.p99 < 100ms"));
        for (attaches, milliseconds) in [(17, 59_500), (50, 20_500), (499, 3_500), (500, 2_000), (5000, 2_000)] {
            assert_eq!(needs.hold(attaches), Duration::from_millis(milliseconds), "{attaches}");
        }
        assert_eq!(
            needs.longer(17),
            Some((Duration::from_millis(59_500), "steady.echo.p99 < 100ms"))
        );
    }

    /// Nobody types: no hold gives an echo, and none is made for it.
    #[test]
    fn without_echoes_no_hold_is_long_enough() {
        let needs = needs(&["echo.p99 < 100ms"], None);
        assert_eq!(needs.least().0, 1);
        assert_eq!(needs.hold(1), TWO);
    }

    #[test]
    fn echoes_that_are_rarer_than_a_minute_come_once() {
        let needs = needs(&["echo.max < 1s"], Some(Duration::from_secs(120)));
        assert_eq!(needs.least().0, 1);
        assert_eq!(needs.hold(3), Duration::from_secs(180));
    }
}
