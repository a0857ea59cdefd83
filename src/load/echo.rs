//! The echo: a nonce typed into a terminal and recognised in its output.
//!
//! A nonce is a letter that stands nowhere else in it, six letters for the attach and five for the number of the
//! echo. It is found in the terminal's stream, in which it may be broken by escape sequences (colours, cursor
//! movements), line ends and blanks, as a terminal application draws it. No screen is kept: that would be a hundred
//! times the memory of the attach.

/// Nonces of an attach before they repeat.
pub const NUMBERS: u32 = 1 << 20;

/// Attaches that can be told from one another on a shared terminal.
pub const TAGS: u32 = 1 << 24;

/// Bytes of a nonce.
pub const LENGTH: usize = 12;

/// Only a nonce's first letter.
const FIRST: u8 = b'z';

/// Rubs the line out (VKILL of the line discipline, `unix-line-discard` of readline): what was typed before must
/// not grow until the terminal takes no more.
pub const RUB_OUT: u8 = 0x15;

fn letter(nibble: u32) -> u8 {
    // A nibble is below 16.
    b'a' + (nibble & 15) as u8
}

/// What is typed as the `number`-th echo of an attach.
pub fn nonce(tag: u32, number: u32) -> [u8; LENGTH] {
    let mut nonce = [FIRST; LENGTH];
    for (place, letters) in nonce[1..7].iter_mut().enumerate() {
        *letters = letter(tag >> (4 * (5 - place)));
    }
    for (place, letters) in nonce[7..].iter_mut().enumerate() {
        *letters = letter(number >> (4 * (4 - place)));
    }
    nonce
}

/// Where in an escape sequence the stream is (ECMA-48 §5.4, §5.6).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// In a control sequence, up to its final byte.
    Control,
    /// In a control string, up to BEL or ST.
    Text,
    /// After an ESC in a control string.
    TextEnds,
}

/// Finds an attach's nonces in a stream that comes in pieces. Eight bytes, whatever comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finder {
    number: u32,
    place: u8,
    escape: Escape,
}

impl Finder {
    /// Looks through the next piece; `found` gets the number of each nonce of this attach.
    pub fn look(&mut self, tag: u32, piece: &[u8], mut found: impl FnMut(u32)) {
        for &byte in piece {
            if self.escape != Escape::None || byte == 0x1b {
                self.escape = self.escape.after(byte);
                continue;
            }
            match byte {
                FIRST => (self.place, self.number) = (1, 0),
                // What draws the nonce: line ends, blanks, backspaces.
                0..=b' ' => {}
                _ if self.place == 0 => {}
                b'a'..=b'p' => {
                    let nibble = u32::from(byte - b'a');
                    if self.place < 7 && nibble != (tag >> (4 * (6 - self.place))) & 15 {
                        self.place = 0;
                        continue;
                    }
                    if self.place >= 7 {
                        self.number = self.number << 4 | nibble;
                    }
                    self.place += 1;
                    if usize::from(self.place) == LENGTH {
                        self.place = 0;
                        found(self.number);
                    }
                }
                _ => self.place = 0,
            }
        }
    }
}

impl Escape {
    fn after(self, byte: u8) -> Escape {
        match (self, byte) {
            (Escape::None, _) | (Escape::Control, 0x1b) => Escape::Begun,
            (Escape::Begun, b'[') => Escape::Control,
            (Escape::Begun, b']' | b'P' | b'X' | b'^' | b'_') => Escape::Text,
            // Intermediate bytes of a longer sequence, as in ESC ( B.
            (Escape::Begun, 0x20..=0x2f) => Escape::Begun,
            (Escape::Control, 0x40..=0x7e) | (Escape::Text, 0x07) => Escape::None,
            (Escape::Text, 0x1b) => Escape::TextEnds,
            (Escape::TextEnds, b'\\') => Escape::None,
            (Escape::TextEnds, _) => Escape::Text,
            (Escape::Control | Escape::Text, _) => self,
            (Escape::Begun, _) => Escape::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(tag: u32, pieces: &[&[u8]]) -> Vec<u32> {
        let mut finder = Finder::default();
        let mut numbers = Vec::new();
        for piece in pieces {
            finder.look(tag, piece, |number| numbers.push(number));
        }
        numbers
    }

    #[test]
    fn a_finder_is_small() {
        assert_eq!(size_of::<Finder>(), 8);
    }

    #[test]
    fn a_nonce_is_found_through_colours_wraps_and_redraws() {
        let drawn = b"\x1b]0;zaaaa\x07$ \x1b[1;32mzaa\x1b[0maaaf\r\n\x1b(Ba\x08 aaac\x1b[K";
        assert_eq!(found(5, &[drawn]), [2]);
    }

    #[test]
    fn anothers_nonce_is_not_ours() {
        assert_eq!(found(5, &[&nonce(4, 1), &nonce(5, 9), b"za", &nonce(5, 10)]), [9, 10]);
    }

    proptest! {
        /// However the stream is cut, and whatever stands around.
        #[test]
        fn all_are_found_in_their_order(
            tag in 0..TAGS, numbers in proptest::collection::vec(0..NUMBERS, 0..9), between in "[ -y]{0,5}", cut in 1usize..40,
        ) {
            let mut stream = Vec::new();
            for number in &numbers {
                stream.extend_from_slice(between.as_bytes());
                stream.extend_from_slice(&nonce(tag, *number));
            }
            let pieces: Vec<&[u8]> = stream.chunks(cut).collect();
            prop_assert_eq!(found(tag, &pieces), numbers);
        }

        #[test]
        fn no_bytes_upset_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            found(5, &[&bytes]);
        }
    }
}
