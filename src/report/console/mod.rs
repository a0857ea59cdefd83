//! For a person, on the terminal or in a CI log.

mod copy;
mod end;
mod failure;
mod live;
mod style;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::Arc;

use indicatif::ProgressDrawTarget;

use super::collect::key;
use super::evidence::evidence_folder;
use super::text::{one_line, seconds, without_commands, wrap};
use super::words::{self, Outcome};
use super::{Reporter, RunFolder, Written};
use crate::events::{CheckResult, Event, RunInfo, RunResult, ScenarioResult, Verdict};
use crate::vocabulary::ExpectationKind;
pub(super) use copy::FileCopy;
use live::Live;
pub use live::{Block, progress};
use style::Style;

/// How much is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Failures and the summary.
    Quiet,
    /// A line for each scenario too.
    #[default]
    Normal,
    /// Steps and checks too.
    Verbose,
}

/// Where verdicts are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal.
    #[default]
    Auto,
    Always,
    Never,
}

/// What the console reporter needs to know of its surroundings.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    pub verbosity: Verbosity,
    /// All facts are printed; otherwise only those that differ between roads.
    pub facts: bool,
    /// Standard output is a terminal.
    pub stdout_terminal: bool,
    /// Standard error is a terminal: what is under way is shown there, and taken away again.
    pub stderr_terminal: bool,
    pub color: Color,
    /// Characters in a line.
    pub width: usize,
    /// Columns of the terminal that shows what is under way.
    pub live_width: usize,
}

impl Default for ConsoleSettings {
    /// For a log: no colours, nothing that moves, 80 columns.
    fn default() -> ConsoleSettings {
        ConsoleSettings {
            verbosity: Verbosity::Normal,
            facts: false,
            stdout_terminal: false,
            stderr_terminal: false,
            color: Color::Auto,
            width: 80,
            live_width: 80,
        }
    }
}

/// Narrower terminals break the lines themselves.
const NARROWEST: usize = 40;

/// Columns before a scenario's name: ` PASS [  0.012s] `.
const MARGIN: usize = 17;

/// Prints lines as things happen, and at the end what went wrong and why.
pub struct Console<W: Write + Send> {
    out: W,
    settings: ConsoleSettings,
    style: Style,
    folder: RunFolder,
    live: Option<Live>,
    info: Option<Arc<RunInfo>>,
    /// To be explained at the end.
    bad: Vec<Arc<ScenarioResult>>,
    with_facts: Vec<Arc<ScenarioResult>>,
    /// Those that took time: all but the skipped ones.
    took: Vec<Arc<ScenarioResult>>,
    ended: bool,
}

impl<W: Write + Send> Console<W> {
    /// Prints to `out`; names the evidence in the run's folder.
    pub fn new(out: W, settings: ConsoleSettings, folder: RunFolder) -> Console<W> {
        let live = settings.stderr_terminal && settings.verbosity != Verbosity::Quiet;
        let target = live.then(terminal::stderr);
        let console = Console::with_live(out, settings, folder, target);
        if let Some(live) = &console.live {
            live.keep_time();
        }
        console
    }

    fn with_live(
        out: W,
        mut settings: ConsoleSettings,
        folder: RunFolder,
        target: Option<ProgressDrawTarget>,
    ) -> Console<W> {
        settings.width = settings.width.max(NARROWEST);
        let style = Style {
            colored: match settings.color {
                Color::Auto => settings.stdout_terminal,
                Color::Always => true,
                Color::Never => false,
            },
        };
        let live = target.map(|target| Live::new(target, settings.live_width));
        Console {
            out,
            settings,
            style,
            folder,
            live,
            info: None,
            bad: Vec::new(),
            with_facts: Vec::new(),
            took: Vec::new(),
            ended: false,
        }
    }

    /// Prints above what is shown of the scenarios under way.
    fn print(&mut self, text: &str) -> io::Result<()> {
        let text = without_commands(text);
        let out = &mut self.out;
        let mut write = || {
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        let printed = match &self.live {
            Some(live) => live.aside(write),
            None => write(),
        };
        if printed.is_err()
            && let Some(live) = self.live.take()
        {
            // Nothing will be heard of this reporter any more.
            live.clear();
        }
        printed
    }

    fn started(&mut self, info: &Arc<RunInfo>) -> io::Result<()> {
        self.info = Some(Arc::clone(info));
        if let Some(live) = &mut self.live {
            live.begin(info.scenarios);
        }
        if self.settings.verbosity == Verbosity::Quiet {
            return Ok(());
        }
        let commit = info.commit.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
        let head = format!(
            "gauntlet {}{commit}: {} on target {}, level {}, seed {}",
            info.version,
            words::scenarios(info.scenarios),
            one_line(&info.target),
            info.level,
            info.seed
        );
        let lines = wrap(&head, self.settings.width).join("\n  ");
        self.print(&format!("{lines}\n\n"))
    }

    fn finished(&mut self, result: &Arc<ScenarioResult>) -> io::Result<()> {
        if let Some(live) = &mut self.live {
            live.finished(&result.run);
        }
        let outcome = Outcome::of(result);
        if outcome.is_bad() {
            self.bad.push(Arc::clone(result));
        }
        if !result.facts.is_empty() {
            self.with_facts.push(Arc::clone(result));
        }
        if outcome != Outcome::Skip {
            self.took.push(Arc::clone(result));
        }
        if self.settings.verbosity == Verbosity::Quiet {
            return Ok(());
        }
        let word = self.style.outcome(outcome, 5);
        let time = seconds(result.duration);
        let mut text = format!("{word} [{time:>8}] {}\n", result.run);
        // What is bad is explained at the end.
        if !outcome.is_bad()
            && let Some(reason) = words::reason(result)
        {
            for line in wrap(&one_line(&reason), self.settings.width - MARGIN - 2) {
                text += &format!("{:MARGIN$}  {line}\n", "");
            }
            if outcome == Outcome::Interrupted
                && let Some(folder) = evidence_folder(&self.folder.evidence(), result)
            {
                text += &format!("{:MARGIN$}  evidence in {}/\n", "", folder.display());
            }
        }
        if self.settings.verbosity == Verbosity::Verbose {
            for check in &result.checks {
                for line in wrap(&check_line(check), self.settings.width - MARGIN - 2) {
                    text += &format!("{:MARGIN$}  {line}\n", "");
                }
            }
        }
        self.print(&text)
    }

    /// The failures, explained, apart from the lines before them.
    fn failures(&mut self) -> String {
        let quiet = self.settings.verbosity == Verbosity::Quiet;
        let mut text = String::from(if quiet { "" } else { "\n" });
        self.bad.sort_by(|a, b| key(&a.run).cmp(&key(&b.run)));
        let evidence = self.folder.evidence();
        for scenario in &self.bad {
            text += &failure::explain(scenario, &evidence, self.style, self.settings.width);
        }
        text
    }

    fn end(&mut self, result: &RunResult) -> io::Result<()> {
        self.ended = true;
        if let Some(live) = self.live.take() {
            live.clear();
        }
        self.with_facts.sort_by(|a, b| key(&a.run).cmp(&key(&b.run)));
        let mut text = self.failures();
        if self.settings.verbosity != Verbosity::Quiet {
            text += &end::facts(&self.with_facts, self.settings.facts, self.style, self.settings.width);
            text += &end::slowest(&mut self.took, self.style);
        }
        let planned = self.info.as_ref().map_or(0, |info| info.scenarios);
        text += &end::summary(result, &self.bad, planned, self.style, self.settings.width);
        self.print(&text)
    }
}

/// `ok: attach s via proxy: refused 401`.
fn check_line(check: &CheckResult) -> String {
    let word = match (check.verdict, check.kind) {
        (_, ExpectationKind::Fact) => "fact",
        (Verdict::Pass, _) => "ok",
        (Verdict::Fail, _) => "FAILED",
        (Verdict::Error, _) => "could not tell",
        (Verdict::Skip, _) => "skipped",
    };
    one_line(&format!("{word}: {}: {}", check.what, check.expected))
}

impl<W: Write + Send> Reporter for Console<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::RunStarted(info) => self.started(info),
            Event::ScenarioStarted(run) => {
                if let Some(live) = &mut self.live {
                    live.started(run);
                }
                Ok(())
            }
            Event::StepStarted { run, number, of, what } => {
                let what = one_line(what);
                if let Some(live) = &mut self.live {
                    live.step(run, *number, *of, &what);
                }
                match self.settings.verbosity {
                    Verbosity::Verbose => {
                        self.print(&format!(" step {:>10} {run}: {what}\n", format!("{number}/{of}")))
                    }
                    _ => Ok(()),
                }
            }
            Event::ScenarioFinished(result) => self.finished(result),
            Event::RunFinished(result) => self.end(result),
        }
    }

    fn finish(&mut self) -> io::Result<Vec<Written>> {
        if let Some(live) = self.live.take() {
            live.clear();
        }
        if !self.ended && self.info.is_some() {
            self.ended = true;
            let mut text = self.failures();
            text += "COULD NOT TELL: the run broke off, gauntlet itself has failed.\n";
            self.print(&text)?;
        }
        Ok(Vec::new())
    }
}
