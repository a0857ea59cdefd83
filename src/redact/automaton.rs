//! Finds all forms of all secrets in one pass.

use std::cmp::Reverse;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::forms::{Every, Form, Part, forms, parts};

/// What a match is of.
struct Pattern {
    name: Arc<str>,
    /// None: the placeholder itself, which is to be left as it is.
    form: Option<Form>,
    part: Option<Part>,
}

/// The automaton of some secrets.
pub(super) struct Chunk {
    /// How many secrets it knows.
    pub(super) secrets: usize,
    automaton: AhoCorasick,
    patterns: Vec<Pattern>,
}

impl Chunk {
    pub(super) fn new<'s>(secrets: impl Iterator<Item = (&'s Arc<str>, &'s str)>, every: Every) -> Chunk {
        let mut patterns = Vec::new();
        let mut texts = Vec::new();
        let mut count = 0;
        for (name, value) in secrets {
            count += 1;
            let mut add = |text, form, part| {
                texts.push(text);
                patterns.push(Pattern {
                    name: Arc::clone(name),
                    form,
                    part,
                });
            };
            add(format!("${name}"), None, None);
            add(format!("${{{name}"), None, None);
            for (text, form) in forms(value) {
                add(text, Some(form), None);
            }
            for (text, part) in parts(value, every) {
                add(text, Some(Form::Part), Some(part));
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&texts)
            .expect("bounded values cannot fill the automaton's 2^31 states");
        Chunk {
            secrets: count,
            automaton,
            patterns,
        }
    }
}

/// One place where a secret stands.
pub(super) struct Match<'c> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) name: &'c str,
    pub(super) form: Form,
    part: Option<Part>,
}

/// What was found in a text.
pub(super) struct Matches<'c> {
    /// Secrets, by place; none within another one or within a placeholder.
    pub(super) secrets: Vec<Match<'c>>,
}

/// Looks for everything that `chunks` know.
pub(super) fn find<'c>(chunks: &'c [Arc<Chunk>], bytes: &[u8]) -> Matches<'c> {
    let mut secrets = Vec::new();
    let mut placeholders = Vec::new();
    for chunk in chunks {
        for found in chunk.automaton.find_overlapping_iter(bytes) {
            let pattern = &chunk.patterns[found.pattern().as_usize()];
            match pattern.form {
                None => placeholders.push((found.start(), found.end())),
                Some(form) => secrets.push(Match {
                    start: found.start(),
                    end: found.end(),
                    name: &pattern.name,
                    form,
                    part: pattern.part,
                }),
            }
        }
    }
    secrets.sort_by_key(|m| (m.start, Reverse(m.end), m.form));
    placeholders.sort_unstable();
    let mut farthest = 0;
    let mut next = placeholders.iter().peekable();
    let mut covered = 0;
    secrets.retain(|m| {
        while let Some((_, end)) = next.next_if(|(start, _)| *start <= m.start) {
            farthest = farthest.max(*end);
        }
        let outermost = m.end > farthest && m.end > covered;
        if outermost {
            covered = m.end;
        }
        outermost
    });
    Matches {
        secrets: joined(secrets),
    }
}

/// Parts that overlap as they do in the value are one part.
fn joined(secrets: Vec<Match<'_>>) -> Vec<Match<'_>> {
    let mut all: Vec<Match<'_>> = Vec::with_capacity(secrets.len());
    for m in secrets {
        if let (Some(last), Some(part)) = (all.last_mut(), m.part)
            && let Some(before) = &mut last.part
            && last.name == m.name
            && (before.upper.is_none() || part.upper.is_none() || before.upper == part.upper)
            && m.start < last.end
            && before.offset + (m.start - last.start) == part.offset
        {
            before.upper = before.upper.or(part.upper);
            last.end = m.end;
            continue;
        }
        all.push(m);
    }
    all
}

impl Match<'_> {
    /// What stands for it, as a shell would fill it in. `next` is the byte behind it.
    fn placeholder(&self, next: Option<&u8>) -> String {
        let name = self.name;
        let length = self.end - self.start;
        let joins = next.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        match self.part {
            None if joins => format!("${{{name}}}"),
            None => format!("${name}"),
            Some(part) if part.upper == Some(true) && part.of == length => format!("${{{name}^^}}"),
            Some(Part { offset, .. }) => format!("${{{name}:{offset}:{length}}}"),
        }
    }
}

impl Matches<'_> {
    /// `bytes` with `$NAME` wherever a secret stands. Where secrets overlap, all
    /// that belongs to any of them goes, so that no rest of one is left.
    pub(super) fn replace(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut done = 0;
        let mut last = None;
        let mut all = self.secrets.iter().peekable();
        while let Some(m) = all.next() {
            let overlaps = m.start < done;
            if !overlaps {
                out.extend_from_slice(&bytes[done..m.start]);
            }
            let behind = match all.peek() {
                Some(next) if next.start <= m.end => None,
                _ => bytes.get(m.end),
            };
            if !overlaps || last != Some(m.name) {
                out.extend_from_slice(m.placeholder(behind).as_bytes());
            }
            last = Some(m.name);
            done = m.end;
        }
        out.extend_from_slice(&bytes[done..]);
        out
    }
}
