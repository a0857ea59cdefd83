//! Hands every event to all reporters, and keeps their troubles apart.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::evidence::bounded;
use super::file::{FileReport, Render};
use super::tee::{Printed, Tee};
use super::{
    Console, ConsoleSettings, EvidenceFolder, Format, ReportSpec, Reporter, Written, atomic, json, junit, markdown,
    redacted,
};
use crate::redact::{Audit, AuditError, Leak, Redactor};
use crate::runner::events::{Event, Evidence, ScenarioResult};

/// Bytes of a piece of evidence that reporters get; the whole lies in the evidence folder.
const EXCERPT: usize = 16 * 1024;

/// What reporters need to know beside the events.
#[derive(Clone, Debug)]
pub struct Settings {
    pub console: ConsoleSettings,
    /// The evidence folder, `reports/evidence` by default.
    pub evidence: PathBuf,
    /// Most bytes of one piece of evidence.
    pub evidence_limit: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            console: ConsoleSettings::default(),
            evidence: "reports/evidence".into(),
            evidence_limit: 1024 * 1024,
        }
    }
}

/// Why a report is missing.
#[derive(Debug)]
pub struct Problem {
    /// `console`, `junit=reports/junit.xml`, `evidence`.
    pub report: String,
    pub error: io::Error,
}

impl Problem {
    /// Whoever read standard output has gone (`| head`): no fault of the run,
    /// and nobody to tell.
    pub fn is_closed_output(&self) -> bool {
        self.error.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_closed_output() {
            return write!(f, "{}: the output was closed by its reader", self.report);
        }
        write!(f, "{}: {}", self.report, self.error)
    }
}

/// What became of the reports.
#[derive(Debug, Default)]
pub struct Finished {
    /// All files that were written, evidence among them.
    pub written: Vec<Written>,
    /// What went to standard output.
    pub printed: Vec<u8>,
    /// Whether the console has told the verdict.
    pub told: bool,
    /// A report that was asked for and isn't there is a reason not to exit with 0.
    pub problems: Vec<Problem>,
}

impl Finished {
    /// Whether nobody has heard the verdict from the console.
    pub fn verdict_untold(&self) -> bool {
        !self.told
    }

    /// Searches all that was put out for secrets.
    pub fn audit(&self, redactor: &Redactor) -> Result<Vec<Leak>, AuditError> {
        let mut audit = Audit::new(redactor);
        audit.output("standard output".as_ref(), &self.printed)?;
        for Written { file, streamed } in &self.written {
            match streamed {
                Some(bytes) => audit.output(file, bytes)?,
                None => audit.file(file)?,
            }
        }
        Ok(audit.leaks())
    }
}

/// All reporters of a run.
pub struct Reporters {
    redactor: Redactor,
    printed: Printed,
    /// First, so that the files that other reports name are there.
    evidence: EvidenceFolder,
    others: Vec<(String, Box<dyn Reporter>)>,
    problems: Vec<Problem>,
}

impl Reporters {
    /// Makes those that are asked for. A report that could not be written in the
    /// end is a [problem](Reporters::problems) now; the others are made all the same.
    pub fn new(
        specs: &[ReportSpec],
        settings: &Settings,
        stdout: Box<dyn Write + Send>,
        redactor: Redactor,
    ) -> Reporters {
        let evidence = EvidenceFolder::new(settings.evidence.clone(), settings.evidence_limit);
        let printed = Printed::default();
        let mut all = Reporters {
            redactor,
            printed: printed.clone(),
            evidence,
            others: Vec::new(),
            problems: Vec::new(),
        };
        if let Err(error) = atomic::check_folder(&settings.evidence) {
            let report = "evidence".to_owned();
            all.problems.push(Problem { report, error });
        }
        let mut stdout: Option<Box<dyn Write + Send>> = Some(Box::new(Tee { inner: stdout, printed }));
        for spec in specs {
            match make(spec, settings, &mut stdout) {
                Ok(Some(reporter)) => all.others.push((spec.to_string(), reporter)),
                Ok(None) => {}
                Err(error) => all.problems.push(Problem {
                    report: spec.to_string(),
                    error,
                }),
            }
        }
        all
    }

    /// One more, of the caller's own.
    pub fn push(&mut self, name: impl Into<String>, reporter: Box<dyn Reporter>) {
        self.others.push((name.into(), reporter));
    }

    /// What went wrong so far.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Redacts the event and hands it on. A reporter that fails gets no more.
    pub fn event(&mut self, event: &Event) {
        let event = redacted::event(&self.redactor, event);
        if let Err(error) = self.evidence.event(&event) {
            self.problems.push(Problem {
                report: "evidence".to_owned(),
                error,
            });
        }
        let event = shortened(event);
        let problems = &mut self.problems;
        self.others.retain_mut(|(name, reporter)| match reporter.event(&event) {
            Ok(()) => true,
            Err(error) => {
                let report = name.clone();
                problems.push(Problem { report, error });
                false
            }
        });
    }

    /// Closes all reports, the files before the console.
    pub fn finish(mut self) -> Finished {
        let mut done = Finished {
            written: self.evidence.take_written(),
            problems: self.problems,
            ..Finished::default()
        };
        let console = Format::Console.name();
        let mut close = |report: String, reporter: &mut dyn Reporter| match reporter.finish() {
            Ok(written) => {
                done.told |= report == console;
                done.written.extend(written);
            }
            Err(error) => done.problems.push(Problem { report, error }),
        };
        close("evidence".to_owned(), &mut self.evidence);
        self.others.sort_by_key(|(name, _)| name == console);
        for (name, mut reporter) in self.others {
            close(name, reporter.as_mut());
        }
        done.printed = self.printed.take();
        done
    }
}

/// None for a second console.
fn make(
    spec: &ReportSpec,
    settings: &Settings,
    stdout: &mut Option<Box<dyn Write + Send>>,
) -> io::Result<Option<Box<dyn Reporter>>> {
    if let Some(file) = &spec.file {
        atomic::check(file)?;
    }
    let evidence = settings.evidence.clone();
    let file = spec
        .file
        .clone()
        .or_else(|| spec.format.default_file().map(PathBuf::from));
    let (render, file): (Render, _) = match (spec.format, file) {
        (Format::Console, _) | (_, None) => {
            return Ok(stdout
                .take()
                .map(|out| -> Box<dyn Reporter> { Box::new(Console::new(out, settings.console.clone(), evidence)) }));
        }
        (Format::Junit, Some(file)) => (junit::render, file),
        (Format::Json, Some(file)) => (json::render, file),
        (Format::Markdown, Some(file)) => (markdown::render, file),
    };
    Ok(Some(Box::new(FileReport::new(file, evidence, render))))
}

/// Evidence cut to what a report may show of it.
fn shortened(event: Event) -> Event {
    match event {
        Event::ScenarioFinished(result) if result.evidence.iter().any(|e| e.text.len() > EXCERPT) => {
            let evidence = result
                .evidence
                .iter()
                .map(|e| Evidence {
                    text: bounded(&e.text, EXCERPT).into_owned(),
                    title: e.title.clone(),
                    file_name: e.file_name.clone(),
                })
                .collect();
            Event::ScenarioFinished(Arc::new(ScenarioResult {
                evidence,
                ..ScenarioResult::clone(&result)
            }))
        }
        event => event,
    }
}
