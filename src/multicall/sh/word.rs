//! Words: quotes and variables.

use super::syntax::{Parser, Piece, SyntaxError, Word};

/// How many bytes at the beginning are a variable's name.
pub fn name_length(text: &str) -> usize {
    let length = text
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        .count();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        0
    } else {
        length
    }
}

impl Parser<'_> {
    /// One word; empty where none begins here. What is quoted and empty (`''`) is a word.
    pub(super) fn word(&mut self) -> Result<Word, SyntaxError> {
        let mut word = Word::new();
        while let Some(next) = self.rest.chars().next() {
            match next {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' => break,
                '(' | ')' => return Err(self.stray()),
                '`' => return Err(SyntaxError::Unsupported("a command's output (`)".into())),
                '\'' => {
                    let end = self.rest[1..].find('\'').ok_or(SyntaxError::Incomplete("quotes (')"))?;
                    push(&mut word, &self.rest[1..=end], true);
                    self.rest = &self.rest[end + 2..];
                }
                '"' => self.double_quoted(&mut word)?,
                '$' => self.dollar(&mut word, false)?,
                '\\' => self.escaped(&mut word)?,
                '~' if word.is_empty() => self.home(&mut word)?,
                other => {
                    push(&mut word, other.encode_utf8(&mut [0; 4]), false);
                    self.rest = &self.rest[other.len_utf8()..];
                }
            }
        }
        Ok(word)
    }

    fn escaped(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        self.rest = &self.rest[1..];
        let next = self.rest.chars().next();
        let next = next.ok_or(SyntaxError::Incomplete("a line that goes on (\\)"))?;
        self.rest = &self.rest[next.len_utf8()..];
        if next != '\n' {
            push(word, next.encode_utf8(&mut [0; 4]), true);
        }
        Ok(())
    }

    /// `~` and `~/…`
    fn home(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        self.rest = &self.rest[1..];
        if !(self.rest.is_empty()
            || self
                .rest
                .starts_with(|c: char| c == '/' || c == ';' || c.is_whitespace()))
        {
            return Err(SyntaxError::Unsupported("`~NAME`".into()));
        }
        word.push(Piece::Variable {
            name: "HOME".into(),
            quoted: true,
        });
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<(), SyntaxError> {
        self.rest = &self.rest[1..];
        let before = word.len();
        loop {
            let mut chars = self.rest.chars();
            match chars.next().ok_or(SyntaxError::Incomplete("quotes (\")"))? {
                '"' => break,
                '`' => return Err(SyntaxError::Unsupported("a command's output (`)".into())),
                '$' => self.dollar(word, true)?,
                '\\' => match chars.next() {
                    Some(escaped @ ('"' | '\\' | '$' | '`')) => {
                        push(word, escaped.encode_utf8(&mut [0; 4]), true);
                        self.rest = &self.rest[2..];
                    }
                    Some('\n') => self.rest = &self.rest[2..],
                    _ => {
                        push(word, "\\", true);
                        self.rest = &self.rest[1..];
                    }
                },
                other => {
                    push(word, other.encode_utf8(&mut [0; 4]), true);
                    self.rest = &self.rest[other.len_utf8()..];
                }
            }
        }
        self.rest = &self.rest[1..];
        if word.len() == before {
            push(word, "", true);
        }
        Ok(())
    }

    /// `$NAME`, `${NAME}`, `$1`, `$?` …; a dollar before anything else is a dollar.
    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Result<(), SyntaxError> {
        self.rest = &self.rest[1..];
        if self.rest.starts_with('(') {
            return Err(SyntaxError::Unsupported(
                "a command's output or arithmetic (`$(`)".into(),
            ));
        }
        if let Some(other) = ["!", "-"].into_iter().find(|other| self.rest.starts_with(other)) {
            return Err(SyntaxError::Unsupported(format!("`${other}`")));
        }
        let (name, length) = if let Some(inside) = self.rest.strip_prefix('{') {
            let end = inside
                .find('}')
                .ok_or(SyntaxError::Incomplete("a variable (`}` is missing)"))?;
            let name = &inside[..end];
            let known =
                name_length(name) == end || special(name) == end || name.bytes().all(|byte| byte.is_ascii_digit());
            if !known || name.is_empty() {
                return Err(SyntaxError::Unsupported(format!("`${{{name}}}`")));
            }
            (name, end + 2)
        } else {
            let length = name_length(self.rest).max(special(self.rest));
            (&self.rest[..length], length)
        };
        if length == 0 {
            push(word, "$", true);
        } else {
            word.push(Piece::Variable {
                name: name.to_owned(),
                quoted,
            });
        }
        self.rest = &self.rest[length..];
        Ok(())
    }
}

/// 1 where the text begins with a parameter of one character.
fn special(text: &str) -> usize {
    text.starts_with(|c: char| c.is_ascii_digit() || "@*#?$".contains(c))
        .into()
}

fn push(word: &mut Word, more: &str, is_quoted: bool) {
    match word.last_mut() {
        Some(Piece::Text { text, quoted }) if *quoted == is_quoted => text.push_str(more),
        _ => word.push(Piece::Text {
            text: more.to_owned(),
            quoted: is_quoted,
        }),
    }
}
