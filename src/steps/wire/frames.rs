//! The frames of a WebSocket (RFC 6455 §5.2) as lines of text: one each, without their mask.

use super::escaped;
use crate::steps::answer::head_end;

/// What one side has said of an upgraded connection: an HTTP head, and then frames.
pub struct Side {
    /// What its lines begin with.
    mark: &'static str,
    /// Clients have to mask their frames, servers may not.
    masks: bool,
    is_behind_head: bool,
    /// What isn't shown yet.
    rest: Vec<u8>,
}

/// A frame within its bytes.
struct Frame<'b> {
    first: u8,
    mask: Option<[u8; 4]>,
    /// How long its payload is said to be.
    length: u64,
    /// What there is of its payload.
    payload: &'b [u8],
    /// Where the payload begins.
    header: usize,
}

impl Side {
    pub fn client() -> Side {
        Side::new("> ", true)
    }

    pub fn server() -> Side {
        Side::new("< ", false)
    }

    fn new(mark: &'static str, masks: bool) -> Side {
        Side {
            mark,
            masks,
            is_behind_head: false,
            rest: Vec::new(),
        }
    }

    /// The lines that are whole with these bytes.
    pub fn lines(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let mut text = String::new();
        if !self.is_behind_head {
            let Some(end) = head_end(&self.rest) else {
                return text;
            };
            self.is_behind_head = true;
            let head: Vec<u8> = self.rest.drain(..end).collect();
            text += &self.marked(&super::printable(&head));
        }
        while let Some((line, length)) = whole(&self.rest, self.masks) {
            self.rest.drain(..length);
            text += &self.marked(&line);
        }
        text
    }

    /// What never became whole.
    pub fn last(&self) -> String {
        match (self.rest.is_empty(), self.is_behind_head, Frame::begun(&self.rest)) {
            (true, _, _) => String::new(),
            (false, true, Some(frame)) => self.marked(&frame.line(self.masks)),
            (false, _, _) => self.marked(&super::printable(&self.rest)),
        }
    }

    fn marked(&self, text: &str) -> String {
        text.lines().map(|line| format!("{}{line}\n", self.mark)).collect()
    }
}

/// The line of the first frame, and how many bytes it has; none where it isn't whole.
fn whole(bytes: &[u8], masks: bool) -> Option<(String, usize)> {
    let frame = Frame::begun(bytes)?;
    let is_whole = frame.payload.len() as u64 == frame.length;
    is_whole.then(|| (frame.line(masks), frame.header + frame.payload.len()))
}

impl<'b> Frame<'b> {
    /// The first frame, whose header has to be whole.
    fn begun(bytes: &'b [u8]) -> Option<Frame<'b>> {
        let [first, second, ..] = *bytes else { return None };
        let (length, header) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let (mask, header) = match second & 0x80 {
            0 => (None, header),
            _ => (Some(bytes.get(header..header + 4)?.try_into().ok()?), header + 4),
        };
        let rest = &bytes[header..];
        let there = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
        Some(Frame {
            first,
            mask,
            length,
            payload: &rest[..there],
            header,
        })
    }

    /// As `[text, 5 bytes] hello`, with what is unusual about it.
    fn line(&self, masks: bool) -> String {
        let payload: Vec<u8> = match self.mask {
            Some(mask) => self
                .payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect(),
            None => self.payload.to_vec(),
        };
        let (name, said) = match (self.first & 0x0f, payload.as_slice()) {
            (0, said) => ("continuation".to_owned(), said),
            (1, said) => ("text".to_owned(), said),
            (2, said) => ("binary".to_owned(), said),
            (8, [high, low, said @ ..]) => (format!("close {}", u16::from_be_bytes([*high, *low])), said),
            (8, said) => ("close".to_owned(), said),
            (9, said) => ("ping".to_owned(), said),
            (10, said) => ("pong".to_owned(), said),
            (other, said) => (format!("unknown type {other}"), said),
        };
        let mut about = vec![name];
        match self.payload.len() as u64 {
            there if there < self.length => about.push(format!("{there} of {} bytes", self.length)),
            1 => about.push("1 byte".to_owned()),
            there => about.push(format!("{there} bytes")),
        }
        if self.first & 0x80 == 0 {
            about.push("more to come".to_owned());
        }
        if self.first & 0x70 != 0 {
            about.push(format!("reserved bits {:03b}", (self.first >> 4) & 7));
        }
        match (masks, self.mask.is_some()) {
            (true, false) => about.push("not masked".to_owned()),
            (false, true) => about.push("masked".to_owned()),
            _ => {}
        }
        let about = about.join(", ");
        match said.is_empty() {
            true => format!("[{about}]"),
            false => format!("[{about}] {}", escaped(said, "\\n", "\\r")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::frame::{frame, masked_binary};

    #[test]
    fn one_frame_is_one_line_without_its_mask() {
        let mut client = Side::client();
        assert_eq!(client.lines(b"GET / HTTP/1.1\r\nHost: a"), "", "the head isn't whole");
        let keys = masked_binary(b"ls\r\n");
        let sent = [&b"\r\n\r\n"[..], &keys[..], &frame(0x81, true, b"{}", 2)[..3]].concat();
        assert_eq!(
            client.lines(&sent),
            "> GET / HTTP/1.1\n> Host: a\n> \n> [binary, 4 bytes] ls\\r\\n\n"
        );
        let rest = &frame(0x81, true, b"{}", 2)[3..];
        assert_eq!(client.lines(rest), "> [text, 2 bytes] {}\n");
        assert_eq!(client.last(), "");
    }

    #[test]
    fn what_is_odd_about_a_frame_is_said() {
        let mut server = Side::server();
        server.lines(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
        let mut said = |bytes: &[u8]| server.lines(bytes);
        assert_eq!(said(b"\x01\x01a"), "< [text, 1 byte, more to come] a\n");
        assert_eq!(said(b"\x80\x01b"), "< [continuation, 1 byte] b\n");
        assert_eq!(said(b"\xc2\x01c"), "< [binary, 1 byte, reserved bits 100] c\n");
        assert_eq!(said(b"\x88\x05\x03\xe8bye"), "< [close 1000, 5 bytes] bye\n");
        assert_eq!(said(b"\x88\x00\x89\x00"), "< [close, 0 bytes]\n< [ping, 0 bytes]\n");
        assert_eq!(said(b"\x8a\x81\0\0\0\0d"), "< [pong, 1 byte, masked] d\n");
        assert_eq!(said(b"\x83\x02\x1b["), "< [unknown type 3, 2 bytes] \\x1b[\n");
        assert_eq!(said(&frame(0x82, false, &[b'x'; 200], 200)).len(), 223);
        assert_eq!(said(b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xffend"), "");
        assert_eq!(server.last(), "< [text, 3 of 18446744073709551615 bytes] end\n");

        let mut client = Side::client();
        client.lines(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.lines(b"\x81\x01a"), "> [text, 1 byte, not masked] a\n");
        client.lines(b"\x81");
        assert_eq!(client.last(), "> \\x81\n", "no header yet");
    }
}
