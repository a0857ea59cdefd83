//! `--report` of a load: where the reports go, and whether they can be written there.

use std::io::{self, Write};
use std::path::Path;

use super::Unwritable;
use crate::cli::exit::UsageError;
use crate::load::{LoadReportSpec, LoadResult, RenderError, render};
use crate::redact::Redactor;
use crate::report::{Destination, Spec, check_file, clash, same_file, write_file};

/// Why a report that was asked for is missing.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error(transparent)]
    Rendering(#[from] RenderError),
    /// This machine doesn't take it.
    #[error(transparent)]
    Writing(#[from] io::Error),
}

/// The reports that were asked for, each with its place.
pub struct Reports(Vec<LoadReportSpec>);

impl Reports {
    /// # Errors
    /// If two of them, or one and the result, would be one file.
    pub fn new(specs: &[LoadReportSpec], result: Option<&Path>) -> Result<Reports, UsageError> {
        if let Some(clash) = clash(specs) {
            return Err(UsageError(clash));
        }
        let placed: Vec<LoadReportSpec> = specs.iter().map(placed).collect();
        // One's own place may be another's file.
        if let Some(clash) = clash(&placed) {
            return Err(UsageError(clash));
        }
        let is_result = |spec: &&LoadReportSpec| match (&spec.to, result) {
            (Destination::File(file), Some(result)) => same_file(file, result),
            _ => false,
        };
        match placed.iter().find(is_result) {
            Some(spec) => Err(UsageError(format!(
                "`--report {spec}` and `--out` would be one file; give each a file of its own"
            ))),
            None => Ok(Reports(placed)),
        }
    }

    /// Whether they can be written, before there is something to lose.
    ///
    /// # Errors
    /// One can't.
    pub fn check(&self) -> Result<(), Unwritable> {
        self.0.iter().try_for_each(|spec| match &spec.to {
            Destination::File(file) => check_file(file).map_err(Unwritable::from),
            Destination::Own | Destination::Stdout => Ok(()),
        })
    }

    /// Whether standard output is to have a report and nothing else.
    pub fn take_stdout(&self) -> bool {
        self.0.iter().any(|spec| spec.to == Destination::Stdout)
    }

    /// Writes them all; returns what went wrong, in words.
    pub fn write(&self, result: &LoadResult, redactor: &Redactor, stdout: &mut dyn Write) -> Vec<String> {
        let mut problems = Vec::new();
        for spec in &self.0 {
            let written = render(spec.format, result, redactor).map_err(Missing::from);
            let written = written.and_then(|text| {
                let written = match &spec.to {
                    Destination::File(file) => write_file(file, text.as_bytes()),
                    Destination::Own | Destination::Stdout => to_stream(stdout, &text),
                };
                written.map_err(Missing::from)
            });
            problems.extend(written.err().map(|why| format!("`--report {spec}`: {why}")));
        }
        problems
    }
}

/// A report with no name is a file in the current folder.
fn placed(spec: &LoadReportSpec) -> LoadReportSpec {
    match spec.to {
        Destination::Own => Spec {
            format: spec.format,
            to: Destination::File(spec.format.file_name().into()),
        },
        Destination::Stdout | Destination::File(_) => spec.clone(),
    }
}

/// A reader who went away is no error.
fn to_stream(stdout: &mut dyn Write, text: &str) -> io::Result<()> {
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(specs: &[&str], out: Option<&str>) -> String {
        let specs: Vec<LoadReportSpec> = specs.iter().map(|text| text.parse().expect("good")).collect();
        match Reports::new(&specs, out.map(Path::new)) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_would_be_one_file_is_refused() {
        assert_eq!(
            refused(&["html", "markdown", "junit", "html=other.html"], Some("r.json")),
            ""
        );
        assert_eq!(refused(&["html", "html"], None), "`--report html` is given twice");
        assert_eq!(
            refused(&["html", "markdown=./load.html"], None),
            "`--report html=load.html` and `--report markdown=./load.html` would be one file, ./load.html; give each a \
             file of its own"
        );
        assert_eq!(
            refused(&["html=-", "junit=-"], None),
            "`--report html=-` and `--report junit=-` would both go to standard output; give one of them a file"
        );
        assert_eq!(
            refused(&["markdown"], Some("./load.md")),
            "`--report markdown=load.md` and `--out` would be one file; give each a file of its own"
        );
    }
}
