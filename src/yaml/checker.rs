//! Where the problems of one file are collected.

use std::sync::Arc;

use super::problem::Problem;
use super::source::{Place, Source, Span};

/// Collects the problems of one file, so that all can be told at once.
#[derive(Debug)]
pub(crate) struct Checker {
    pub source: Arc<Source>,
    pub problems: Vec<Problem>,
    /// Whether the file was checked when this program was built, so that only what reads it is done.
    pub checked: bool,
}

impl Checker {
    pub fn new(source: &Arc<Source>) -> Checker {
        Checker {
            source: Arc::clone(source),
            problems: Vec::new(),
            checked: false,
        }
    }

    pub fn report(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::new(&self.source, span, message));
    }

    pub fn report_with_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        let problem = Problem::new(&self.source, span, message).with_help(help);
        self.problems.push(problem);
    }

    pub fn place(&self, span: Span) -> Place {
        span.place(&self.source)
    }
}
