//! Texts taken out of their encodings, whichever was put into which.
//!
//! The redactor writes each secret in all forms that it can think of and looks for those. Here it
//! is the other way round: what could be an encoding is taken off, so that a value is found also
//! in a form that nobody has thought of: half of it escaped, an encoding within an encoding, a
//! line broken in the middle.

/// A text with where each byte of it stood in the original.
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) from: Vec<usize>,
}

/// Escapes within escapes that are taken off.
const ROUNDS: usize = 4;

/// Shortest run of characters that is taken for an encoding.
const RUN: usize = 12;

/// What a text can be decoded to, itself not among it.
pub(super) fn decoded(bytes: &[u8]) -> Vec<Text> {
    let raw = Text {
        bytes: bytes.to_vec(),
        from: (0..bytes.len()).collect(),
    };
    let mut texts = vec![raw];
    for round in 0..ROUNDS {
        match unescaped(&texts[round]) {
            Some(text) => texts.push(text),
            None => break,
        }
    }
    let joined: Vec<Text> = texts.iter().filter_map(joined).collect();
    texts.extend(joined);
    let mut inner = Vec::new();
    for text in &texts {
        for one in [base64(text), hex(text)].into_iter().flatten() {
            inner.extend([unescaped(&one), base64(&one), hex(&one)].into_iter().flatten());
            inner.push(one);
        }
    }
    texts.extend(inner);
    texts.split_off(1)
}

impl Text {
    fn new() -> Text {
        Text {
            bytes: Vec::new(),
            from: Vec::new(),
        }
    }

    fn push(&mut self, byte: u8, from: usize) {
        self.bytes.push(byte);
        self.from.push(from);
    }
}

/// Percent, JSON, Rust, XML and HTML escapes taken off, once. None if there are none.
fn unescaped(text: &Text) -> Option<Text> {
    let mut out = Text::new();
    let mut changed = false;
    let mut at = 0;
    while let Some(&byte) = text.bytes.get(at) {
        let from = text.from[at];
        match escape(&text.bytes[at..]) {
            Some((decoded, length)) => {
                changed = true;
                decoded.iter().for_each(|byte| out.push(*byte, from));
                at += length;
            }
            None => {
                out.push(byte, from);
                at += 1;
            }
        }
    }
    changed.then_some(out)
}

/// What an escape at the beginning of `bytes` stands for, and its length.
fn escape(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let digits = |from: usize, length: usize| -> Option<u32> {
        let text = std::str::from_utf8(bytes.get(from..from + length)?).ok()?;
        let all = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        all.then(|| u32::from_str_radix(text, 16).ok()).flatten()
    };
    let utf8 = |code: u32| char::from_u32(code).map(|c| c.to_string().into_bytes());
    let byte = |code: u32| u8::try_from(code).ok().map(|byte| vec![byte]);
    match bytes {
        [b'%', ..] => Some((byte(digits(1, 2)?)?, 3)),
        [b'\\', b'x', ..] => Some((byte(digits(2, 2)?)?, 4)),
        [b'\\', b'u', b'{', ..] => {
            let length = bytes.iter().take(10).position(|byte| *byte == b'}')? - 3;
            Some((utf8(digits(3, length)?)?, length + 4))
        }
        [b'\\', b'u', ..] => Some((utf8(digits(2, 4)?)?, 6)),
        [b'\\', b'n', ..] => Some((vec![b'\n'], 2)),
        [b'\\', escaped @ (b'\\' | b'/' | b'"' | b'\''), ..] => Some((vec![*escaped], 2)),
        [b'&', ..] => entity(bytes),
        _ => None,
    }
}

fn entity(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let end = bytes.iter().take(10).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&bytes[1..end]).ok()?;
    let code = match name {
        "amp" => '&'.into(),
        "lt" => '<'.into(),
        "gt" => '>'.into(),
        "quot" => '"'.into(),
        "apos" => '\''.into(),
        _ => match name.strip_prefix('#')?.split_at_checked(1)? {
            ("x" | "X", digits) => u32::from_str_radix(digits, 16).ok()?,
            _ => name.strip_prefix('#')?.parse().ok()?,
        },
    };
    Some((char::from_u32(code)?.to_string().into_bytes(), end + 1))
}

/// Lines joined, without the margins that reports and transcripts set before them. None of one line.
fn joined(text: &Text) -> Option<Text> {
    let mut out = Text::new();
    let mut margin = false;
    for (byte, from) in text.bytes.iter().zip(&text.from) {
        match byte {
            b'\n' | b'\r' => margin = true,
            b' ' | b'\t' | b'|' | b'<' | b'>' if margin => {}
            byte => {
                margin = false;
                out.push(*byte, *from);
            }
        }
    }
    (out.bytes.len() < text.bytes.len()).then_some(out)
}

/// All that could be base64, decoded from each of the places where a group can begin.
fn base64(text: &Text) -> Option<Text> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    runs(text, value, 6, 4)
}

/// All that could be hexadecimal digits, decoded from both places where a byte can begin.
fn hex(text: &Text) -> Option<Text> {
    let value = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    runs(text, value, 4, 2)
}

/// Runs of characters that stand for `bits` bits each, decoded from each of `starts` places.
fn runs(text: &Text, value: impl Fn(u8) -> Option<u8>, bits: u32, starts: usize) -> Option<Text> {
    let mut out = Text::new();
    let mut at = 0;
    while at < text.bytes.len() {
        let run: Vec<u8> = text.bytes[at..].iter().map_while(|byte| value(*byte)).collect();
        if run.len() >= RUN {
            for start in 0..starts {
                let (mut held, mut count) = (0u32, 0);
                for (n, digit) in run.iter().enumerate().skip(start) {
                    held = held << bits | u32::from(*digit);
                    count += bits;
                    if count >= 8 {
                        count -= 8;
                        out.push((held >> count & 0xff) as u8, text.from[at + n]);
                    }
                }
                out.push(b'\n', text.from[at]);
            }
        }
        at += run.len().max(1);
    }
    (!out.bytes.is_empty()).then_some(out)
}
