//! Passes every event to all reporters, and isolates their failures from each other.

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use super::console::{Console, FileCopy};
use super::evidence::{EvidenceFolder, bounded};
use super::file::{FileReport, Render, To};
use super::spec::{Destination, Format};
use super::step_summary::StepSummary;
use super::tee::{Printed, Tee};
use super::{
    ConsoleSettings, ReportSpec, Reporter, RunFolder, Written, atomic, github, html, json, junit, markdown,
    openmetrics, redacted, sarif, tap,
};
use crate::events::{Event, Evidence, ScenarioResult};
use crate::redact::{Audit, AuditError, Leak, Redactor};

/// Bytes of a piece of evidence that reporters get; the whole lies in the evidence folder.
const EXCERPT: usize = 16 * 1024;

/// What reporters need besides the events.
#[derive(Clone, Debug)]
pub struct Settings {
    pub console: ConsoleSettings,
    /// The folder of evidence, and of reports without a file of their own.
    pub folder: RunFolder,
    /// Most bytes of one piece of evidence.
    pub evidence_limit: usize,
    /// Where GitHub Actions takes a step's summary from; none elsewhere.
    pub step_summary: Option<PathBuf>,
}

impl Settings {
    /// With a mebibyte for each piece of evidence.
    pub fn new(console: ConsoleSettings, folder: RunFolder) -> Settings {
        Settings {
            console,
            folder,
            evidence_limit: 1024 * 1024,
            step_summary: None,
        }
    }
}

/// A stream that is printed to.
type Out = Box<dyn Write + Send>;

/// What a process prints to.
pub struct Streams {
    pub stdout: Out,
    pub stderr: Out,
}

/// Why a report is missing.
#[derive(Debug)]
pub struct Problem {
    /// `console`, `junit`, `json=r.json`, `evidence`.
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

/// The outcome of the reports.
#[derive(Debug, Default)]
pub struct Finished {
    /// All files that were written, evidence among them.
    pub written: Vec<Written>,
    /// What went to standard output.
    pub printed: Vec<u8>,
    /// What the console printed to standard error, as a report has standard output.
    pub printed_aside: Vec<u8>,
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
        audit.output("standard error".as_ref(), &self.printed_aside)?;
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
    printed_aside: Printed,
    /// First, so that the files that other reports name are there.
    evidence: EvidenceFolder,
    others: Vec<(String, Box<dyn Reporter>)>,
    problems: Vec<Problem>,
}

impl Reporters {
    /// Makes the console, and those that are asked for. A report that could not be written in the
    /// end is a [problem](Reporters::problems) now; the others are made all the same.
    pub fn new(specs: &[ReportSpec], settings: &Settings, streams: Streams, redactor: Redactor) -> Reporters {
        let (printed, printed_aside) = (Printed::default(), Printed::default());
        let tee = |inner: Out, printed: &Printed| -> Out {
            let printed = printed.clone();
            Box::new(Tee { inner, printed })
        };
        let stdout = tee(streams.stdout, &printed);
        let stderr = tee(streams.stderr, &printed_aside);
        let mut console = settings.console.clone();
        let (out, mut left) = match specs.iter().any(ReportSpec::takes_stdout) {
            true => {
                console.stdout_terminal = console.stderr_terminal;
                (stderr, Some(stdout))
            }
            false => (stdout, None),
        };
        let console: Box<dyn Reporter> = Box::new(Console::new(out, console, settings.folder.clone()));
        let mut all = Reporters {
            redactor,
            printed,
            printed_aside,
            evidence: EvidenceFolder::new(settings.folder.clone(), settings.evidence_limit),
            others: vec![(Format::Console.name().to_owned(), console)],
            problems: Vec::new(),
        };
        if let Err(error) = atomic::check_folder(settings.folder.reports()) {
            let report = "evidence".to_owned();
            all.problems.push(Problem { report, error });
        }
        for spec in specs {
            match make(spec, settings, &mut left) {
                Ok(Some(reporter)) => {
                    all.others.push((spec.to_string(), reporter));
                    if let (Format::Github, Some(file)) = (spec.format, &settings.step_summary) {
                        let report = "the step's summary".to_owned();
                        match StepSummary::new(file.clone(), settings.folder.clone()) {
                            Ok(summary) => all.others.push((report, Box::new(summary))),
                            Err(error) => all.problems.push(Problem { report, error }),
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => all.problems.push(Problem {
                    report: spec.to_string(),
                    error,
                }),
            }
        }
        all
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
        done.printed_aside = self.printed_aside.take();
        done
    }
}

/// None of the console itself, which is there anyway. `stdout` is for the report that takes it.
fn make(spec: &ReportSpec, settings: &Settings, stdout: &mut Option<Out>) -> io::Result<Option<Box<dyn Reporter>>> {
    if let Destination::File(file) = &spec.to {
        atomic::check(file)?;
    }
    let folder = settings.folder.clone();
    let render: Render = match (spec.format, &spec.to) {
        (Format::Console, Destination::File(file)) => {
            let copy = FileCopy::new(file.clone(), settings.console.clone(), folder);
            return Ok(Some(Box::new(copy)));
        }
        (Format::Console, _) => return Ok(None),
        (Format::Junit, _) => junit::render,
        (Format::Json, _) => json::render,
        (Format::Markdown, _) => markdown::render,
        (Format::Html, _) => html::render,
        (Format::Sarif, _) => sarif::render,
        (Format::Tap, _) => tap::render,
        (Format::Github, _) => github::render,
        (Format::OpenMetrics, _) => openmetrics::render,
    };
    let to = match &spec.to {
        Destination::Own => spec.format.file_name().map(To::Folder),
        Destination::Stdout => stdout.take().map(To::Stream),
        Destination::File(file) => Some(To::File(file.clone())),
    };
    Ok(to.map(|to| -> Box<dyn Reporter> { Box::new(FileReport::new(to, folder, render)) }))
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
