//! Live progress: a bar, and a line for each running scenario.

use std::io;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::RunOf;
use crate::report::text::cut;

/// Most scenarios that have a line; the bar tells of the rest.
const LINES: usize = 8;
/// Shows the time going by also while nothing else happens.
const TICK: Duration = Duration::from_millis(250);
const BAR: &str = "      [{elapsed_precise}] {bar:20} {pos}/{len} done{msg}";
/// Columns of that before the message, less the digits of the two numbers.
const BAR_WIDTH: usize = 44;

/// Tells on standard error, if that is a terminal, how many of how many are done.
pub fn progress(terminal: bool) -> impl FnMut(usize, usize) {
    let target = match terminal {
        true => super::terminal::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(None, target).with_style(style(BAR));
    bar.enable_steady_tick(TICK);
    move |done, all| {
        bar.set_length(all.try_into().unwrap_or(u64::MAX));
        bar.set_position(done.try_into().unwrap_or(u64::MAX));
        if done == all {
            bar.finish_and_clear();
        }
    }
}

/// A few lines on standard error that are drawn again in place. Dropped, it takes them away.
pub struct Block(ProgressBar);

impl Block {
    /// With nothing in it yet.
    pub fn new() -> Block {
        Block::on(super::terminal::stderr())
    }

    pub(super) fn on(target: ProgressDrawTarget) -> Block {
        Block(ProgressBar::with_draw_target(None, target).with_style(style("{msg}")))
    }

    /// Draws these lines in place of those before.
    pub fn draw(&self, lines: &[String]) {
        self.0.set_message(lines.join("\n"));
    }
}

impl Default for Block {
    fn default() -> Block {
        Block::new()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Shows on a terminal what is under way.
pub(super) struct Live {
    all: MultiProgress,
    bar: ProgressBar,
    /// In the order of their start; the first ones have a line.
    running: Vec<(RunOf, Option<ProgressBar>)>,
    width: usize,
}

impl Live {
    pub(super) fn new(target: ProgressDrawTarget, width: usize) -> Live {
        let all = MultiProgress::with_draw_target(target);
        let bar = all.add(ProgressBar::new(0).with_style(style(BAR)));
        Live {
            all,
            bar,
            running: Vec::new(),
            width,
        }
    }

    /// Shows the time going by also while nothing else happens.
    pub(super) fn keep_time(&self) {
        self.bar.enable_steady_tick(TICK);
    }

    pub(super) fn begin(&mut self, scenarios: usize) {
        self.bar.set_length(scenarios.try_into().unwrap_or(u64::MAX));
        self.bar.tick();
    }

    pub(super) fn started(&mut self, run: &RunOf) {
        self.running.push((run.clone(), None));
        self.give_lines();
    }

    pub(super) fn step(&mut self, run: &RunOf, number: usize, of: usize, what: &str) {
        let width = self.width;
        if let Some((_, Some(line))) = self.running.iter().find(|(r, _)| r == run) {
            let text = format!("      {run}  {number}/{of} {what}");
            line.set_message(cut(&text, width.saturating_sub(1)).into_owned());
        }
    }

    pub(super) fn finished(&mut self, run: &RunOf) {
        if let Some(at) = self.running.iter().position(|(r, _)| r == run) {
            if let (_, Some(line)) = self.running.remove(at) {
                line.finish_and_clear();
                self.all.remove(&line);
            }
            self.give_lines();
        }
        self.bar.inc(1);
    }

    /// Prints without mixing with what is shown.
    pub(super) fn aside(&self, print: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.all.suspend(print)
    }

    #[cfg(test)]
    pub(super) fn redraw(&self) {
        for line in self.running.iter().filter_map(|(_, line)| line.as_ref()) {
            line.tick();
        }
        self.bar.tick();
    }

    /// Takes everything away.
    pub(super) fn clear(self) {
        for (_, line) in self.running {
            if let Some(line) = line {
                line.finish_and_clear();
            }
        }
        self.bar.finish_and_clear();
    }

    fn give_lines(&mut self) {
        for (run, line) in self.running.iter_mut().take(LINES) {
            if line.is_none() {
                let fresh = ProgressBar::new_spinner().with_style(style("{msg}"));
                let fresh = self.all.add(fresh);
                let text = format!("      {run}");
                fresh.set_message(cut(&text, self.width.saturating_sub(1)).into_owned());
                *line = Some(fresh);
            }
        }
        let message = match self.running.len() {
            n if n > LINES => format!(", {n} running, {LINES} of them here:"),
            0 => String::new(),
            n => format!(", {n} running:"),
        };
        let digits = self.bar.length().unwrap_or(0).to_string().len();
        let left = self.width.saturating_sub(BAR_WIDTH + 2 * digits + 1);
        self.bar.set_message(cut(&message, left).into_owned());
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well-formed")
}
