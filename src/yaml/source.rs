//! Where a text comes from, and places in it.

use std::ops::Range;
use std::sync::Arc;

/// A scenario file, a profile, or one text of the built-in ones.
pub struct Source {
    /// The path as the user knows it, or relative to the scenarios' folder.
    pub name: String,
    pub text: String,
}

impl std::fmt::Debug for Source {
    /// Its name: the text would bury whatever it is printed with.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source {
            name: name.into(),
            text: text.into(),
        })
    }

    /// The text of a line, counted from 1, without its end; empty past the last one.
    pub fn line(&self, line: u32) -> &str {
        let index = (line as usize).saturating_sub(1);
        self.text.lines().nth(index).unwrap_or("")
    }

    /// Line and column, both from 1 and the column in characters, of a byte offset.
    pub fn position(&self, offset: usize) -> (u32, u32) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[start..].chars().count() + 1;
        (line as u32, column as u32)
    }
}

/// A place in a [`Source`].
#[derive(Clone, Debug)]
pub struct Place {
    pub source: Arc<Source>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl Place {
    /// The text of the place's line.
    pub fn text(&self) -> &str {
        self.source.line(self.line)
    }
}

impl std::fmt::Display for Place {
    /// `file:line:column`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.source.name, self.line, self.column)
    }
}

/// A stretch of a source: bytes, and the line and column of its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl Span {
    /// The stretch of these bytes.
    pub fn of(source: &Source, bytes: Range<usize>) -> Span {
        let (line, column) = source.position(bytes.start);
        Span {
            start: bytes.start,
            end: bytes.end.max(bytes.start),
            line,
            column,
        }
    }

    pub fn place(self, source: &Arc<Source>) -> Place {
        Place {
            source: Arc::clone(source),
            line: self.line,
            column: self.column,
        }
    }
}
