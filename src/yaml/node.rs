//! YAML as a tree in which every key and every value knows its place.
//!
//! Of gauntlet's own files the subset is what JSON can say: no anchors, aliases or tags (a scenario has
//! `vars`), no duplicate keys, one document, keys are texts. A [stream](read_stream) that others wrote has
//! many documents, and the rest of YAML.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span as YamlSpan};

use super::problem::Problem;
use super::source::{Source, Span};

/// Longest text of a file. Nothing that a person writes comes near.
pub const MAX_BYTES: usize = 256 * 1024;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// The same of a stream that others wrote. Definitions of custom resources are deep.
const MAX_DEPTH_OF_STREAM: usize = 128;
/// Most values of a stream, those that aliases repeat counted each time.
const MAX_VALUES: usize = 2_000_000;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub kind: Kind,
    pub span: Span,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub name: String,
    pub span: Span,
}

impl Node {
    /// What it is, in words: `a list`, `the number 3`.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(b) => b.to_string(),
            Kind::Number(n) => format!("the number {n}"),
            Kind::Text(t) if t.chars().count() <= 40 => format!("the text {t:?}"),
            Kind::Text(_) => "a text".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&[(Key, Node)]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let (_, value) = self.as_map()?.iter().find(|(key, _)| key.name == name)?;
        Some(value)
    }

    /// The value without places.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(b) => Value::Bool(*b),
            Kind::Number(n) => Value::Number(n.clone()),
            Kind::Text(t) => Value::String(t.clone()),
            Kind::List(items) => items.iter().map(Node::to_value).collect(),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.name.clone(), value.to_value()))
                    .collect(),
            ),
        }
    }

    /// A tree without places, for values that don't come from a file.
    pub fn from_value(value: &Value) -> Node {
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(b) => Kind::Bool(*b),
            Value::Number(n) => Kind::Number(n.clone()),
            Value::String(t) => Kind::Text(t.clone()),
            Value::Array(items) => Kind::List(items.iter().map(Node::from_value).collect()),
            Value::Object(map) => Kind::Map(
                map.iter()
                    .map(|(name, value)| {
                        let key = Key {
                            name: name.clone(),
                            span: Span::default(),
                        };
                        (key, Node::from_value(value))
                    })
                    .collect(),
            ),
        };
        Node {
            kind,
            span: Span::default(),
        }
    }
}

/// Reads a YAML text. Where the text can't be read at all there is no tree; problems
/// that leave a tree (a duplicate key) come beside it.
pub fn read(source: &Arc<Source>) -> (Option<Node>, Vec<Problem>) {
    if source.text.len() > MAX_BYTES {
        let problem = Problem::of_file(
            source,
            format!("the file has {} bytes; at most {MAX_BYTES} are read", source.text.len()),
        );
        return (None, vec![problem]);
    }
    let mut reader = Reader::new(source, Language::Json);
    match reader.document() {
        Ok(node) => (Some(node), reader.problems),
        Err(problem) => {
            reader.problems.push(*problem);
            (None, reader.problems)
        }
    }
}

/// Reads a stream of YAML documents that others wrote, with anchors, aliases, merge keys, tags and directives.
/// Documents that say nothing are left out. How long the text may be is for whoever reads it from a file to say.
///
/// # Errors
/// Where it can't be read to its end. Problems that leave trees (a duplicate key) come beside them.
pub fn read_stream(source: &Arc<Source>) -> Result<(Vec<Node>, Vec<Problem>), Box<Problem>> {
    let mut reader = Reader::new(source, Language::Yaml);
    let documents = reader.documents()?;
    Ok((documents, reader.problems))
}

/// What of YAML there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    /// What JSON can say.
    Json,
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

struct Reader<'s> {
    source: &'s Arc<Source>,
    language: Language,
    parser: Parser<'s, serde_saphyr::granit_parser::StrInput<'s>>,
    problems: Vec<Problem>,
    /// What has an anchor and is read to its end, each with how many values it is.
    anchors: HashMap<usize, (Node, usize)>,
    /// How many values were read.
    values: usize,
}

type Fatal = Box<Problem>;

impl<'s> Reader<'s> {
    fn new(source: &'s Arc<Source>, language: Language) -> Reader<'s> {
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

    fn documents(&mut self) -> Result<Vec<Node>, Fatal> {
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

    fn document(&mut self) -> Result<Node, Fatal> {
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
            (Some("int" | "float" | "bool" | "null"), Some(text)) => node.kind = scalar(&text, ScalarStyle::Plain),
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
                kind: scalar(&text, style),
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
            match entries.iter().find(|(known, _)| known.name == key.name) {
                Some((first, _)) => {
                    let message = format!("duplicate key `{}`", key.name);
                    let problem = Problem::new(self.source, key.span, message).with_related(
                        self.source,
                        first.span,
                        "first here",
                    );
                    self.problems.push(problem);
                }
                None => entries.push((key, value)),
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
    for map in maps {
        let Kind::Map(more) = map.kind else { continue };
        for (key, value) in more {
            if !entries.iter().any(|(known, _)| known.name == key.name) {
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
/// numbers with leading zeros: those are texts, as a reader would take a token to be.
fn scalar(text: &str, style: ScalarStyle) -> Kind {
    if style != ScalarStyle::Plain {
        return Kind::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Value {
        let (node, problems) = read(&Source::new("t.yaml", text));
        assert!(problems.is_empty(), "{problems:?}");
        node.expect("a tree").to_value()
    }

    #[test]
    fn scalars() {
        let got = value("[1, -2, 1.5, 1e3, 007, 0x1f, .5, yes, on, null, ~, true, '1', 1_000]");
        let want = serde_json::json!([
            1, -2, 1.5, 1000.0, "007", "0x1f", ".5", "yes", "on", null, null, true, "1", "1_000"
        ]);
        assert_eq!(got, want);
    }

    #[test]
    fn a_block_template_needs_no_quotes() {
        assert_eq!(
            value("token: ${secret.token}\nlist:\n  - ${old}\n"),
            serde_json::json!({"token": "${secret.token}", "list": ["${old}"]})
        );
    }

    #[test]
    fn places_are_lines_and_columns_of_characters() {
        let (node, _) = read(&Source::new("t.yaml", "ä: 1\nb:\n  - ü: xyz\n"));
        let node = node.expect("a tree");
        let b = node.get("b").expect("b");
        let Kind::List(items) = &b.kind else { panic!("a list") };
        let xyz = items[0].get("ü").expect("ü");
        assert_eq!((xyz.span.line, xyz.span.column), (3, 8));
        assert_eq!(xyz.span.end - xyz.span.start, 3);
    }

    fn stream(text: &str) -> Vec<Value> {
        let (nodes, problems) = read_stream(&Source::new("t.yaml", text)).expect("a stream");
        assert!(problems.is_empty(), "{problems:?}");
        nodes.iter().map(Node::to_value).collect()
    }

    #[test]
    fn a_stream_has_documents_with_all_of_yaml() {
        let text = "%YAML 1.1\n---\n# nothing\n---\na: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n---\n- !!str 1\n- !!int \"2\"\n- !own y\n---\n";
        assert_eq!(
            stream(text),
            [
                serde_json::json!({"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}}),
                serde_json::json!(["1", 2, "y"]),
            ]
        );
    }

    #[test]
    fn a_stream_that_multiplies_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let before = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{before}]\n"));
        }
        let refused = read_stream(&Source::new("t.yaml", text)).expect_err("too much");
        assert!(refused.message.contains("aliases"), "{}", refused.message);
        let of_itself = read_stream(&Source::new("t.yaml", "a: &a [*a]\n")).expect_err("of itself");
        assert!(of_itself.message.contains("alias"), "{}", of_itself.message);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}") {
            let _ = read(&Source::new("t.yaml", text));
        }

        #[test]
        fn never_panics_on_yaml_like(text in "([ \\-\\[\\]{},:?&*!|>'\"%#a-c0-9\n$]|\\$\\{){0,80}") {
            let _ = read(&Source::new("t.yaml", text.clone()));
            let _ = read_stream(&Source::new("t.yaml", text));
        }
    }
}
