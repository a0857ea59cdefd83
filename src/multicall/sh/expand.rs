//! From words to arguments: values of variables, fields, names of files.

use super::Shell;
use super::syntax::{Piece, Word};

/// An argument that is still being put together.
#[derive(Default)]
struct Field {
    text: String,
    /// The same as a pattern of file names: what was quoted stands for itself.
    pattern: String,
    /// Whether an unquoted `*`, `?` or `[` is in it.
    wild: bool,
}

impl Field {
    fn quoted(&mut self, text: &str) {
        self.text.push_str(text);
        self.pattern.push_str(&glob::Pattern::escape(text));
    }

    fn plain(&mut self, text: &str) {
        self.text.push_str(text);
        for character in text.chars() {
            self.wild |= "*?[".contains(character);
            // To the matcher `**` would be all folders below.
            if character != '*' || !self.pattern.ends_with('*') {
                self.pattern.push(character);
            }
        }
    }

    /// The names of files that it matches, or itself.
    fn names(self) -> Vec<String> {
        if !self.wild {
            return vec![self.text];
        }
        let options = glob::MatchOptions {
            require_literal_separator: true,
            require_literal_leading_dot: true,
            ..glob::MatchOptions::new()
        };
        // What is no pattern, and folders that can't be read, match nothing.
        let found = glob::glob_with(&self.pattern, options).into_iter().flatten().flatten();
        let mut names: Vec<String> = found.map(|path| path.to_string_lossy().into_owned()).collect();
        if names.is_empty() {
            names.push(self.text);
        }
        names
    }
}

/// The arguments that words become.
pub fn arguments(shell: &Shell, words: &[Word]) -> Vec<String> {
    words
        .iter()
        .flat_map(|word| fields(shell, word))
        .flat_map(Field::names)
        .collect()
}

/// The one text that a word is where it can't be several: a value, a file's name.
pub fn text(shell: &Shell, word: &Word) -> String {
    word.iter()
        .map(|piece| match piece {
            Piece::Text { text, .. } => text.clone(),
            Piece::Variable { name, .. } => shell.value(name),
        })
        .collect()
}

fn fields(shell: &Shell, word: &Word) -> Vec<Field> {
    let mut done = Vec::new();
    let mut field: Option<Field> = None;
    for piece in word {
        match piece {
            Piece::Text { text, quoted: true } => field.get_or_insert_default().quoted(text),
            Piece::Text { text, quoted: false } => field.get_or_insert_default().plain(text),
            Piece::Variable { name, quoted: true } if name == "@" => {
                for (at, argument) in shell.arguments.iter().enumerate() {
                    if at > 0 {
                        done.extend(field.take());
                    }
                    field.get_or_insert_default().quoted(argument);
                }
            }
            Piece::Variable { name, quoted: true } => field.get_or_insert_default().quoted(&shell.value(name)),
            Piece::Variable { name, quoted: false } => {
                let value = shell.value(name);
                for (at, part) in value.split(char::is_whitespace).enumerate() {
                    if at > 0 {
                        done.extend(field.take());
                    }
                    if !part.is_empty() {
                        field.get_or_insert_default().plain(part);
                    }
                }
            }
        }
    }
    done.extend(field);
    done
}
