//! What is wrong with a file, said so that it can be put right: the place, what is
//! the matter, and what to do.

use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode, SourceSpan,
    ThemeCharacters, ThemeStyles,
};

use super::source::{Place, Source, Span};

/// Something wrong in a file.
#[derive(Clone, Debug)]
pub struct Problem {
    pub source: Arc<Source>,
    pub span: Span,
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Another place that has to do with it, with what it is.
    pub related: Option<Box<Related>>,
}

/// Another place that has to do with a problem.
#[derive(Clone, Debug)]
pub struct Related {
    pub source: Arc<Source>,
    pub span: Span,
    /// What is there.
    pub what: String,
}

impl Problem {
    pub fn new(source: &Arc<Source>, span: Span, message: impl Into<String>) -> Problem {
        Problem {
            source: Arc::clone(source),
            span,
            message: message.into(),
            help: None,
            related: None,
        }
    }

    /// A problem of a file as a whole.
    pub fn of_file(source: &Arc<Source>, message: impl Into<String>) -> Problem {
        Problem::new(source, Span::of(source, 0..0), message)
    }

    /// With another place that has to do with it.
    pub fn with_related(mut self, source: &Arc<Source>, span: Span, what: &str) -> Problem {
        self.related = Some(Box::new(Related {
            source: Arc::clone(source),
            span,
            what: what.to_owned(),
        }));
        self
    }

    pub fn with_help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Whether there is a line to show: not of a file that is empty or can't be read.
    fn has_place(&self) -> bool {
        !self.source.text.is_empty()
    }

    /// Where the problem is.
    pub fn place(&self) -> Place {
        self.span.place(&self.source)
    }
}

impl fmt::Display for Problem {
    /// One line: `file:line:column: message; help`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.has_place() {
            true => write!(f, "{}: {}", self.place(), self.message)?,
            false => write!(f, "{}: {}", self.source.name, self.message)?,
        }
        if let Some(related) = &self.related {
            write!(f, " ({}: {})", related.what, related.span.place(&related.source))?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// All problems of all files that were read together; never empty.
#[derive(Clone, Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Each with the line, a caret under the place, and help; no colours, fixed width.
    pub fn render(&self) -> String {
        match self.0.as_slice() {
            // The line says it all.
            [only] if !only.has_place() => render(only),
            all => {
                let each: String = all.iter().map(|p| render(p) + "\n").collect();
                format!("{each}{}\n", self.summary())
            }
        }
    }

    /// One line for each problem.
    pub fn render_plain(&self) -> String {
        self.0.iter().map(|p| format!("{p}\n")).collect()
    }

    /// `3 problems in 2 files`.
    pub fn summary(&self) -> String {
        let mut files: Vec<&str> = self.0.iter().map(|p| p.source.name.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        let plural = |n: usize, word: &str| match n {
            1 => format!("1 {word}"),
            n => format!("{n} {word}s"),
        };
        format!("{} in {}", plural(self.0.len(), "problem"), plural(files.len(), "file"))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render_plain().trim_end())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

fn render(problem: &Problem) -> String {
    // Without a line there is nothing to draw a frame around.
    if !problem.has_place() {
        return format!("{problem}\n");
    }
    let theme = GraphicalTheme {
        characters: ThemeCharacters::unicode(),
        styles: ThemeStyles::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .with_context_lines(1)
        .with_links(false)
        .without_syntax_highlighting();
    let mut out = String::new();
    match handler.render_report(&mut out, &Shown::new(problem)) {
        Ok(()) => out,
        // The plain form needs nothing that could go wrong.
        Err(fmt::Error) => format!("{problem}\n"),
    }
}

/// A problem in miette's terms.
#[derive(Debug)]
struct Shown {
    message: String,
    help: Option<String>,
    source: NamedSource<String>,
    label: LabeledSpan,
    severity: Severity,
    related: Vec<Shown>,
}

impl Shown {
    fn new(problem: &Problem) -> Shown {
        let related = problem.related.as_ref().map(|related| {
            let (text, label) = excerpt(&related.source, related.span);
            Shown {
                message: related.what.clone(),
                help: None,
                source: NamedSource::new(&related.source.name, text),
                label,
                severity: Severity::Advice,
                related: Vec::new(),
            }
        });
        let (text, label) = excerpt(&problem.source, problem.span);
        Shown {
            message: problem.message.clone(),
            help: problem.help.clone(),
            source: NamedSource::new(&problem.source.name, text),
            label,
            severity: Severity::Error,
            related: related.into_iter().collect(),
        }
    }
}

/// Longest part of a line that is shown, in characters.
const LINE_SHOWN: usize = 160;

/// The text to show a place in, and the place in it: of a long line a part, and nothing that a
/// terminal would obey. Underlined is the first line of the span: a step or a map can be many long.
fn excerpt(source: &Source, span: Span) -> (String, LabeledSpan) {
    let text = source.text.as_str();
    let marked = text.get(span.start..span.end).unwrap_or("");
    let marked = marked.lines().next().unwrap_or("").trim_end();
    let (mut shown, mut at, mut length) = (String::with_capacity(text.len()), None, 0);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let (content, end) = match line.strip_suffix('\n') {
            Some(content) => (content, "\n"),
            None => (line, ""),
        };
        // The end of the text is a place in its last line.
        let holds = at.is_none() && (start..start + line.len().max(1)).contains(&span.start)
            || start + line.len() == text.len() && at.is_none() && span.start >= start;
        let before = match holds {
            true => text.get(start..span.start).map_or(0, |before| before.chars().count()),
            false => 0,
        };
        let first = before.saturating_sub(LINE_SHOWN / 2);
        let long = content.chars().count() > first + LINE_SHOWN;
        if first > 0 {
            shown.push('…');
        }
        for (index, c) in content.chars().enumerate().skip(first).take(LINE_SHOWN) {
            if holds && index == before {
                at = Some(shown.len());
            }
            shown.push(if c.is_control() && c != '\t' && c != '\r' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            });
            if holds && (before..before + marked.chars().count()).contains(&index) {
                length = shown.len() - at.unwrap_or(shown.len());
            }
        }
        if holds && at.is_none() {
            at = Some(shown.len());
        }
        if long {
            shown.push('…');
        }
        shown.push_str(end);
        start += line.len();
    }
    let span = SourceSpan::from((at.unwrap_or(shown.len()), length));
    (shown, LabeledSpan::new_primary_with_span(Some("here".to_owned()), span))
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(self.label.clone())))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|r| r as &dyn Diagnostic)))
    }
}
