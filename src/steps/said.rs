//! What a terminal printed, one letter after the other, without where it drew them.

/// Characters that are kept.
const KEPT: usize = 1 << 14;

/// What was printed, less all that only moves or colours.
#[derive(Default)]
pub struct Said {
    text: String,
    place: Place,
}

/// Where in the output the next character stands.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    /// Behind an ESC.
    Escape,
    /// In a sequence that a letter ends: `ESC [ 32 m`.
    Sequence,
    /// In a text for the terminal itself, as its title: BEL or ESC ends it.
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
            // Of `ESC ( B` the last is what is meant.
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

    /// Whether a word is in it.
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
