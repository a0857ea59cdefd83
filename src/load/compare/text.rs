//! A comparison as a person reads it.

use std::fmt::Write;

use super::chance::ALPHA;
use super::{Comparison, Outcome, Row, Said, Seen};
use crate::load::report::{version, what};
use crate::load::summary::milliseconds;
use crate::report::one_line;

impl Comparison<'_> {
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into memory doesn't fail.
        let _written = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        for (letter, saved) in [("A", self.a), ("B", self.b)] {
            let result = &saved.result;
            // A file may say anything.
            let line = format!(
                "{letter}  {}: {}, {}, at {}",
                saved.name,
                result.verdict.word(),
                what(result),
                result.load.target
            );
            let made = format!("gauntlet {}, {}", version(result), result.started);
            writeln!(out, "{}\n   {}", one_line(&line), one_line(&made))?;
        }
        writeln!(out)?;
        for warning in &self.warnings {
            writeln!(out, "  warning: {}", one_line(warning))?;
        }
        if !self.warnings.is_empty() {
            writeln!(out)?;
        }
        writeln!(out, "  {:<18} {:<30} {:<30} {:>9}", "", "A", "B", "change")?;
        for row in &self.rows {
            writeln!(
                out,
                "  {:<18} {:<30} {:<30} {:>9}  {}",
                row.figure.to_string(),
                row.a.text(),
                row.b.text(),
                row.change(),
                row.said()
            )?;
        }
        let confidence = (1.0 - ALPHA) * 100.0;
        writeln!(
            out,
            "\n  in parentheses: where the figure lies, with {confidence:.0} % confidence"
        )?;
        if !self.limited.is_empty() {
            writeln!(out)?;
        }
        for judged in &self.limited {
            let word = match judged.outcome {
                Outcome::Kept => "kept",
                Outcome::Broken => "BROKEN",
                Outcome::CouldNotTell => "COULD NOT TELL",
            };
            let row = &judged.row;
            writeln!(out, "  {word}  {}  ({}, {})", judged.limit, row.change(), row.said())?;
        }
        writeln!(out, "\n{}", self.verdict())?;
        for limit in self.late.iter().chain(&self.limits) {
            writeln!(out, "  {}", one_line(limit))?;
        }
        Ok(())
    }

    fn verdict(&self) -> String {
        let count = |said| self.rows.iter().filter(|row| row.said == said).count();
        let broken: Vec<String> = self
            .limited
            .iter()
            .filter(|judged| judged.outcome == Outcome::Broken)
            .map(|judged| judged.limit.to_string())
            .collect();
        match (self.exit_code(), count(Said::Worse), count(Said::Better)) {
            (1, ..) => format!("WORSE than is allowed: {}", broken.join(", ")),
            (3, ..) => "COULD NOT TELL".to_owned(),
            (_, 0, 0) => "NO DIFFERENCE that is more than chance".to_owned(),
            (_, worse, better) => format!("DIFFERENT by more than chance: {worse} worse, {better} better"),
        }
    }
}

impl Row {
    fn change(&self) -> String {
        match self.change {
            None => "-".to_owned(),
            Some(change) if change.is_infinite() => "from none".to_owned(),
            Some(change) => format!("{:+.1} %", change * 100.0),
        }
    }

    fn said(&self) -> &'static str {
        match self.said {
            Said::Chance => "within chance",
            Said::Worse => "worse",
            Said::Better => "better",
            Said::TooFew => "too few samples",
            Said::CouldNotTell => "could not tell",
            Said::Missing => match (self.a, self.b) {
                (Seen::Nothing, Seen::Nothing) => "in neither",
                (Seen::Nothing, _) => "only in B",
                _ => "only in A",
            },
        }
    }
}

impl Seen {
    fn text(self) -> String {
        match self {
            Seen::Nothing => "-".to_owned(),
            Seen::Latency { value, interval: None } => milliseconds(value),
            Seen::Latency {
                value,
                interval: Some((low, high)),
            } => format!(
                "{} ({} to {})",
                milliseconds(value),
                milliseconds(low),
                milliseconds(high)
            ),
            Seen::Share(count, of) => format!("{count} of {of} ({:.3} %)", count as f64 / of as f64 * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::compare::{Limit, Saved};
    use crate::load::{LoadResult, sample};

    fn saved(name: &str, result: LoadResult) -> Saved {
        Saved::new(name, result).expect("histograms")
    }

    fn slow() -> LoadResult {
        sample::measured(sample::rising().map(|micros| 2 * micros), sample::rising())
    }

    #[test]
    fn worse() {
        let mut result = slow();
        result.load.hold = 20_000;
        result.counts.refused = 20;
        let (a, b) = (saved("a.json", sample::passed()), saved("b.json", result));
        let limits: Vec<Limit> = ["attach.p99 > +10%", "steady.echo.p99 > +10%", "attach.p99.9 > +10%"]
            .map(|limit| limit.parse().expect("a limit"))
            .to_vec();
        insta::assert_snapshot!(Comparison::new(&a, &b, &limits).text(), @r"
        A  a.json: PASSED, 1000 attaches at 500/s, held 10s, an echo every 1500ms, at ws://127.0.0.1:4096/tty
           gauntlet 0.1.0 (0123456), 2026-11-29T07:00:00Z
        B  b.json: PASSED, 1000 attaches at 500/s, held 20s, an echo every 1500ms, at ws://127.0.0.1:4096/tty
           gauntlet 0.1.0 (0123456), 2026-11-29T07:00:00Z

          warning: these are different loads: hold 10000 ms and 20000 ms

                             A                              B                                 change
          attach.p50         5.00 ms (4.59 ms to 5.42 ms)   10.0 ms (9.18 ms to 10.8 ms)    +100.0 %  worse
          attach.p99         9.90 ms (9.81 ms to 9.98 ms)   19.8 ms (19.6 ms to 20.0 ms)    +100.0 %  worse
          echo.p50           5.00 ms (4.59 ms to 5.42 ms)   5.00 ms (4.59 ms to 5.42 ms)      +0.0 %  within chance
          echo.p99           9.90 ms (9.81 ms to 9.98 ms)   9.90 ms (9.81 ms to 9.98 ms)      +0.0 %  within chance
          steady.echo.p50    5.00 ms (4.59 ms to 5.42 ms)   5.00 ms (4.59 ms to 5.42 ms)      +0.0 %  within chance
          steady.echo.p99    9.90 ms (9.81 ms to 9.98 ms)   9.90 ms (9.81 ms to 9.98 ms)      +0.0 %  within chance
          errors             0 of 2000 (0.000 %)            20 of 2000 (1.000 %)           from none  worse
          refused            0 of 1000 (0.000 %)            20 of 1000 (2.000 %)           from none  worse

          in parentheses: where the figure lies, with 99 % confidence

          BROKEN  attach.p99 > +10%  (+100.0 %, worse)
          kept  steady.echo.p99 > +10%  (+0.0 %, within chance)
          COULD NOT TELL  attach.p99.9 > +10%  (+100.0 %, too few samples)

        WORSE than is allowed: attach.p99 > +10%
        ");
    }

    #[test]
    fn the_last_lines_say_what_it_comes_to() {
        let ends = |a: &Saved, b: &Saved, end: &str| {
            let text = Comparison::new(a, b, &[]).text();
            assert!(text.ends_with(end), "{text}");
        };
        let a = saved("a.json", sample::passed());
        let b = saved("b.json", slow());
        ends(&a, &a, "\n\nNO DIFFERENCE that is more than chance\n");
        ends(&a, &b, "\n\nDIFFERENT by more than chance: 2 worse, 0 better\n");
        ends(&b, &a, "\n\nDIFFERENT by more than chance: 0 worse, 2 better\n");
        let mut result = slow();
        result.generator.saturated = true;
        result.generator.lag_p99 = 50.0;
        ends(
            &a,
            &saved("c.json", result),
            "\n\nCOULD NOT TELL\n  the generator was itself the limit in c.json: its lag has a p99 of 50.0 ms; latencies \
             are none of the platform's\n",
        );
    }

    #[test]
    fn what_a_file_says_is_one_line_and_nothing_that_a_terminal_obeys() {
        let mut result = sample::passed();
        result.load.target = "x\nNO DIFFERENCE\u{1b}[2J".into();
        result.load.arrivals = "\n\nA".into();
        let a = saved("a\nb.json", result);
        let b = saved("c.json", sample::passed());
        let text = Comparison::new(&a, &b, &[]).text();
        assert!(
            !text.contains('\u{1b}') && !text.contains("\nNO DIFFERENCE\u{1b}"),
            "{text}"
        );
        assert_eq!(text.matches("\nA").count(), 0, "{text}");
        assert!(
            text.contains("  warning: these are different loads: target x NO DIFFERENCE\\u{1b}[2J and ws://"),
            "{text}"
        );
    }
}
