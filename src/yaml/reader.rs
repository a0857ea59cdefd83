//! From the parser's events to the tree.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Number;
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span as YamlSpan};

use super::node::{Key, Kind, Node};
use super::problem::Problem;
use super::source::{Source, Span};

/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// The same of a stream that others wrote. Definitions of custom resources are deep.
const MAX_DEPTH_OF_STREAM: usize = 128;
/// Most values of a stream, those that aliases repeat counted each time.
const MAX_VALUES: usize = 2_000_000;

/// What of YAML there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// What JSON can say: gauntlet's own files.
    Json,
    /// All of YAML, as kubectl reads it: the manifests of others.
    Yaml,
}

impl Language {
    fn depth(self) -> usize {
        match self {
            Language::Json => MAX_DEPTH,
            Language::Yaml => MAX_DEPTH_OF_STREAM,
        }
    }
}

pub(super) struct Reader<'s> {
    source: &'s Arc<Source>,
    language: Language,
    parser: Parser<'s, serde_saphyr::granit_parser::StrInput<'s>>,
    pub(super) problems: Vec<Problem>,
    /// What has an anchor and is read to its end, each with how many values it is.
    anchors: HashMap<usize, (Node, usize)>,
    /// How many values were read.
    values: usize,
}

/// What ends the reading.
type Fatal = Box<Problem>;

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Arc<Source>, language: Language) -> Reader<'s> {
        let options = serde_saphyr::granit_parser::options! {
            emit_comments: false,
            disallow_directives: language == Language::Json,
            flow_nesting_limit: language.depth(),
            block_nesting_limit: language.depth(),
        };
        Reader {
            source,
            language,
            parser: Parser::new_from_str_with_options(&source.text, options),
            problems: Vec::new(),
            anchors: HashMap::new(),
            values: 0,
        }
    }

    pub(super) fn documents(&mut self) -> Result<Vec<Node>, Fatal> {
        let mut documents = Vec::new();
        while let Some((event, at)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                event => {
                    let node = self.node(event, at, 0)?;
                    if node.kind != Kind::Null {
                        documents.push(node);
                    }
                }
            }
        }
        Ok(documents)
    }

    pub(super) fn document(&mut self) -> Result<Node, Fatal> {
        let mut root = None;
        while let Some((event, at)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                event => {
                    if root.is_some() {
                        let span = self.span(at);
                        return Err(Box::new(
                            Problem::new(self.source, span, "a second document in the file")
                                .with_help("one file holds one document: make it a file of its own"),
                        ));
                    }
                    root = Some(self.node(event, at, 0)?);
                }
            }
        }
        match root {
            Some(node) if node.kind != Kind::Null => Ok(node),
            _ => Err(Box::new(Problem::of_file(self.source, "the file is empty"))),
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'s>, YamlSpan)>, Fatal> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => Err(Box::new(self.syntax(&error))),
        }
    }

    fn syntax(&self, error: &serde_saphyr::granit_parser::ScanError) -> Problem {
        let at = error.marker().byte_offset().unwrap_or(0);
        // The end of the file is no place to look at: the last line is.
        let at = at.min(self.source.text.trim_end().len());
        let span = Span::of(self.source, at..at);
        let problem = Problem::new(self.source, span, format!("not YAML: {}", error.info()));
        let line = self.source.line(span.line);
        match error.kind() {
            ErrorKind::DirectiveDisallowed => problem.with_help("directives are not part of the language"),
            ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => problem.with_help("indent with spaces"),
            ErrorKind::RecursionLimitExceeded => Problem::new(self.source, span, self.too_deep()),
            ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator
                if line.contains("${") =>
            {
                problem.with_help("inside `{…}` and `[…]` a template must be in quotes: \"${…}\"")
            }
            ErrorKind::MappingValueNotAllowed => problem.with_help("text that contains `: ` must be in quotes"),
            _ => problem,
        }
    }

    fn node(&mut self, event: Event<'s>, at: YamlSpan, depth: usize) -> Result<Node, Fatal> {
        let span = self.span(at);
        if depth > self.language.depth() {
            return Err(Box::new(Problem::new(self.source, span, self.too_deep())));
        }
        if self.language == Language::Yaml {
            return self.any_node(event, at, depth);
        }
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor != 0, tag.is_some()),
            Event::Alias(_) => (true, false),
            _ => (false, false),
        };
        if anchor {
            return Err(Box::new(
                Problem::new(
                    self.source,
                    span,
                    "anchors (`&`) and aliases (`*`) are not part of the language",
                )
                .with_help("name the value in `vars`, or put a text that starts with `&` or `*` in quotes"),
            ));
        }
        if tagged {
            let tag = at.tag_span().map_or(span, |tag| self.span(tag));
            self.problems.push(
                Problem::new(self.source, tag, "tags (`!`) are not part of the language")
                    .with_help("put a text that starts with `!` in quotes"),
            );
        }
        self.content(event, span, depth)
    }

    /// A value of a stream that others wrote.
    fn any_node(&mut self, event: Event<'s>, at: YamlSpan, depth: usize) -> Result<Node, Fatal> {
        let span = self.span(at);
        let before = self.values;
        if let Event::Alias(anchor) = event {
            // Before it is copied: a copy of too much is what is to be refused.
            let values = self.anchors.get(&anchor).map_or(0, |(_, values)| *values);
            self.count(values, span)?;
            return match self.anchors.get(&anchor) {
                Some((node, _)) => Ok(node.clone()),
                None => {
                    let message = "an alias (`*`) that contains itself";
                    Err(Box::new(Problem::new(self.source, span, message)))
                }
            };
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => {
                let tag = tag.as_ref().and_then(|tag| tag.core_suffix());
                (*anchor, tag.map(str::to_owned))
            }
            _ => (0, None),
        };
        self.count(1, span)?;
        let text = match &event {
            Event::Scalar(text, ..) => Some(text.to_string()),
            _ => None,
        };
        let mut node = self.content(event, span, depth)?;
        match (tag.as_deref(), text) {
            (Some("str"), Some(text)) => node.kind = Kind::Text(text),
            // A tag says that quotes don't count.
            (Some("int" | "float" | "bool" | "null"), Some(text)) => {
                node.kind = scalar(&text, ScalarStyle::Plain, self.language);
            }
            _ => {}
        }
        if anchor != 0 {
            let values = self.values.saturating_sub(before);
            self.count(values, span)?;
            self.anchors.insert(anchor, (node.clone(), values));
        }
        Ok(node)
    }

    /// Counts values, and refuses more than anybody means: aliases of aliases multiply.
    fn count(&mut self, values: usize, span: Span) -> Result<(), Fatal> {
        self.values = self.values.saturating_add(values);
        match self.values > MAX_VALUES {
            true => {
                let message = format!("more than {MAX_VALUES} values, with all that aliases (`*`) repeat");
                Err(Box::new(Problem::new(self.source, span, message)))
            }
            false => Ok(()),
        }
    }

    fn too_deep(&self) -> String {
        format!("nested deeper than {} levels", self.language.depth())
    }

    fn content(&mut self, event: Event<'s>, span: Span, depth: usize) -> Result<Node, Fatal> {
        match event {
            Event::Scalar(text, style, _, _) => Ok(Node {
                kind: scalar(&text, style, self.language),
                span,
            }),
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                let mut end = span.end;
                while let Some((event, at)) = self.next()? {
                    if event == Event::SequenceEnd {
                        break;
                    }
                    let item = self.node(event, at, depth + 1)?;
                    end = item.span.end;
                    items.push(item);
                }
                let span = Span { end, ..span };
                Ok(Node {
                    kind: Kind::List(items),
                    span,
                })
            }
            Event::MappingStart(..) => self.map(span, depth),
            _ => Ok(Node { kind: Kind::Null, span }),
        }
    }

    fn map(&mut self, mut span: Span, depth: usize) -> Result<Node, Fatal> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut known: HashMap<String, Span> = HashMap::new();
        while let Some((event, at)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let key_node = self.node(event, at, depth + 1)?;
            let key = match key_text(&key_node.kind) {
                Some(name) => Key {
                    name,
                    span: key_node.span,
                },
                None => {
                    let message = format!("a key must be a text, not {}", key_node.describe());
                    let problem = Problem::new(self.source, key_node.span, message);
                    return Err(Box::new(match self.language {
                        Language::Json => {
                            problem.with_help("inside `{…}` and `[…]` a template must be in quotes: \"${…}\"")
                        }
                        Language::Yaml => problem,
                    }));
                }
            };
            let Some((event, at)) = self.next()? else {
                break;
            };
            let mut value = self.node(event, at, depth + 1)?;
            if value.kind == Kind::Null && value.span.start == value.span.end {
                // A value that was left out is best shown at its key.
                value.span = key.span;
            }
            span.end = value.span.end;
            match known.get(&key.name) {
                Some(first) => {
                    let message = format!("duplicate key `{}`", key.name);
                    let problem =
                        Problem::new(self.source, key.span, message).with_related(self.source, *first, "first here");
                    self.problems.push(problem);
                }
                None => {
                    known.insert(key.name.clone(), key.span);
                    entries.push((key, value));
                }
            }
        }
        if self.language == Language::Yaml {
            merge(&mut entries);
        }
        Ok(Node {
            kind: Kind::Map(entries),
            span,
        })
    }

    fn span(&self, at: YamlSpan) -> Span {
        let start = at.start.byte_offset().unwrap_or(0);
        let end = at.end.byte_offset().unwrap_or(start).max(start);
        Span {
            start,
            end,
            line: at.start.line() as u32,
            column: at.start.col() as u32 + 1,
        }
    }
}

/// Puts what merge keys (`<<`) name into a map, where the map doesn't say it itself.
fn merge(entries: &mut Vec<(Key, Node)>) {
    let is_merge = |(key, value): &(Key, Node)| key.name == "<<" && matches!(value.kind, Kind::Map(_) | Kind::List(_));
    let Some(index) = entries.iter().position(is_merge) else {
        return;
    };
    let (_, merged) = entries.remove(index);
    let maps = match merged.kind {
        Kind::List(items) => items,
        _ => vec![merged],
    };
    let mut known: HashSet<String> = entries.iter().map(|(key, _)| key.name.clone()).collect();
    for map in maps {
        let Kind::Map(more) = map.kind else { continue };
        for (key, value) in more {
            if known.insert(key.name.clone()) {
                entries.push((key, value));
            }
        }
    }
}

fn key_text(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Text(text) => Some(text.clone()),
        Kind::Number(number) => Some(number.to_string()),
        Kind::Bool(b) => Some(b.to_string()),
        Kind::Null => Some("null".to_owned()),
        Kind::List(_) | Kind::Map(_) => None,
    }
}

/// The value of a scalar by YAML's core schema, less octal, hexadecimal, infinities and
/// numbers with leading zeros: those are texts, as a reader would take a token to be. In what others wrote, `yes`, `no`,
/// `on` and `off` are booleans too: of YAML 1.1, which kubectl and helm read.
fn scalar(text: &str, style: ScalarStyle, language: Language) -> Kind {
    if style != ScalarStyle::Plain {
        return Kind::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" if language == Language::Yaml => return Kind::Bool(true),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" if language == Language::Yaml => return Kind::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Kind::Text(text.to_owned()), Kind::Number)
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") {
        return None;
    }
    if let Ok(n) = text.parse::<i64>() {
        return Some(n.into());
    }
    if let Ok(n) = text.parse::<u64>() {
        return Some(n.into());
    }
    let decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !digits.contains(['.', 'e', 'E']) || !digits.chars().all(decimal) {
        return None;
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}
