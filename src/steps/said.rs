//! The text that a terminal printed, in order, wherever it was drawn.

/// The number of characters kept.
const KEPT: usize = 1 << 14;

/// The printed text, without escape sequences and control characters.
#[derive(Default)]
pub struct Said {
    text: String,
    place: Place,
}

/// What the next character of the output belongs to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    /// After an ESC.
    Escape,
    /// In a sequence that ends with a letter: `ESC [ 32 m`.
    Sequence,
    /// In a text for the terminal itself, such as its title: BEL or ESC ends it.
    Title,
}

impl Said {
    pub fn process(&mut self, output: &str) {
        for character in output.chars() {
            self.take(character);
        }
        let more = self.text.chars().count().saturating_sub(KEPT);
        if more > 0 {
            self.text = self.text.chars().skip(more).collect();
        }
    }

    fn take(&mut self, character: char) {
        self.place = match (self.place, character) {
            (_, '\u{1b}') => Place::Escape,
            (Place::Escape, '[') => Place::Sequence,
            (Place::Escape, ']' | 'P' | '_' | '^') => Place::Title,
            // One more character belongs to `ESC (`.
            (Place::Escape, '(' | ')' | '#') => Place::Escape,
            (Place::Escape, _) => Place::Text,
            (Place::Sequence, '@'..='~') => Place::Text,
            (Place::Title, '\u{7}') => Place::Text,
            (Place::Text, character) => {
                if !character.is_control() {
                    self.text.push(character);
                }
                Place::Text
            }
            (place, _) => place,
        };
    }

    /// Whether it contains a word.
    pub fn has(&self, word: &str) -> bool {
        self.text.contains(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(output: &[&str]) -> Said {
        let mut said = Said::default();
        output.iter().for_each(|part| said.process(part));
        said
    }

    #[test]
    fn wraps_and_colours_are_no_part_of_a_word() {
        for output in [
            &["word"][..],
            &["w", "o", "r", "d"],
            &["\u{1b}[32mwo\u{1b}[0mrd"],
            &["wo\r\nrd"],
            &["wo\u{1b}[", "5;1Hrd"],
            &["wo\u{1b}(Brd"],
            &["wo\u{1b}]0;title\u{7}rd"],
            &["wo\u{1b}]0;title\u{1b}\\rd"],
        ] {
            assert!(said(output).has("word"), "{output:?}");
        }
    }

    #[test]
    fn what_was_not_printed_is_not_there() {
        for output in [&["wrd"][..], &["wo rd"], &["\u{1b}]0;word\u{7}"], &[]] {
            assert!(!said(output).has("word"), "{output:?}");
        }
        assert!(!said(&["word", &"x".repeat(KEPT)]).has("word"));
    }
}
