//! WebSocket frames (RFC 6455 §5) over buffers that all attaches share: an attach keeps what a frame has left
//! between two reads, some forty bytes, and no payload but a control frame's that came in parts.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Longest header: two bytes, eight of length, four of mask.
const HEADER: usize = 14;

/// Longest payload of a control frame (RFC 6455 §5.5).
const CONTROL: u64 = 125;

/// Appends a frame as a client sends it, masked.
pub fn write(opcode: OpCode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    let header = FrameHeader {
        is_final: true,
        opcode,
        mask: Some(mask),
        ..FrameHeader::default()
    };
    // Writing into memory doesn't fail.
    let _written = header.format(payload.len() as u64, out);
    let begin = out.len();
    out.extend_from_slice(payload);
    for (place, byte) in out[begin..].iter_mut().enumerate() {
        *byte ^= mask[place % mask.len()];
    }
}

/// The content of a piece of a stream.
#[derive(Debug, PartialEq)]
pub enum Part<'a> {
    /// Some of a message's payload.
    Data(&'a [u8]),
    /// A ping, which is to be answered with its payload.
    Ping(&'a [u8]),
    /// A close, with its status code where it has one.
    Close(Option<u16>),
    /// A data frame is complete.
    End,
}

/// A violation that no server may commit (RFC 6455 §5.1, §5.2, §5.5).
#[derive(Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// Reads frames from a stream that comes in pieces.
#[derive(Debug, Default)]
pub struct Reader {
    /// Payload bytes of the frame that are still to come.
    left: u64,
    /// The kind of the frame whose payload comes; `None` between frames.
    frame: Option<Kind>,
    /// Of a header that isn't whole: its bytes so far.
    header: [u8; HEADER],
    have: u8,
    /// Of a control frame whose payload isn't whole: its bytes so far.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Data,
    Ping,
    Pong,
    Close,
}

impl Reader {
    /// Reads the next piece; `each` gets its parts and says whether to go on.
    ///
    /// # Errors
    /// A violation that no server may commit.
    pub fn read(&mut self, mut piece: &[u8], mut each: impl FnMut(Part<'_>) -> bool) -> Result<(), Broken> {
        loop {
            let kind = match self.frame {
                Some(kind) => kind,
                None => match self.head(&mut piece)? {
                    Some(kind) => kind,
                    None => return Ok(()),
                },
            };
            let available = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
            let (payload, rest) = piece.split_at(available);
            piece = rest;
            self.left -= available as u64;
            let whole = self.left == 0;
            let go_on = if kind == Kind::Data {
                (payload.is_empty() || each(Part::Data(payload))) && (!whole || each(Part::End))
            } else if whole && self.control.is_empty() {
                control(kind, payload, &mut each)?
            } else {
                self.control.extend_from_slice(payload);
                if whole {
                    control(kind, &std::mem::take(&mut self.control), &mut each)?
                } else {
                    true
                }
            };
            if whole {
                self.frame = None;
            }
            if !go_on || !whole {
                return Ok(());
            }
        }
    }

    /// The next frame's kind, once its header is whole.
    fn head(&mut self, piece: &mut &[u8]) -> Result<Option<Kind>, Broken> {
        let have = usize::from(self.have);
        let parsed = if have == 0 {
            let mut cursor = Cursor::new(*piece);
            let parsed = parse(&mut cursor)?;
            match parsed {
                Some(_) => *piece = &piece[cursor.position() as usize..],
                None => {
                    // A header that isn't whole is shorter than the longest one.
                    self.header[..piece.len()].copy_from_slice(piece);
                    self.have = piece.len() as u8;
                    return Ok(None);
                }
            }
            parsed
        } else {
            let more = piece.len().min(HEADER - have);
            self.header[have..have + more].copy_from_slice(&piece[..more]);
            let mut cursor = Cursor::new(&self.header[..have + more]);
            let parsed = parse(&mut cursor)?;
            match parsed {
                Some(_) => {
                    *piece = &piece[cursor.position() as usize - have..];
                    self.have = 0;
                }
                None => {
                    self.have = (have + more) as u8;
                    return Ok(None);
                }
            }
            parsed
        };
        let Some((kind, length)) = parsed else {
            return Ok(None);
        };
        self.left = length;
        self.frame = Some(kind);
        Ok(Some(kind))
    }
}

fn parse(cursor: &mut Cursor<&[u8]>) -> Result<Option<(Kind, u64)>, Broken> {
    let parsed = FrameHeader::parse(cursor).map_err(|_| Broken("a frame with a reserved opcode"))?;
    let Some((header, length)) = parsed else {
        return Ok(None);
    };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Broken("a frame of an extension that wasn't agreed"));
    }
    if header.mask.is_some() {
        return Err(Broken("a masked frame"));
    }
    let kind = match header.opcode {
        OpCode::Data(Data::Text | Data::Binary | Data::Continue) => Kind::Data,
        OpCode::Control(Control::Ping) => Kind::Ping,
        OpCode::Control(Control::Pong) => Kind::Pong,
        OpCode::Control(Control::Close) => Kind::Close,
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
            return Err(Broken("a frame with a reserved opcode"));
        }
    };
    if kind != Kind::Data && (length > CONTROL || !header.is_final) {
        return Err(Broken("a control frame that is too long or in fragments"));
    }
    Ok(Some((kind, length)))
}

fn control(kind: Kind, payload: &[u8], each: &mut impl FnMut(Part<'_>) -> bool) -> Result<bool, Broken> {
    Ok(match kind {
        Kind::Data | Kind::Pong => true,
        Kind::Ping => each(Part::Ping(payload)),
        Kind::Close => each(Part::Close(match payload {
            [] => None,
            [high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
            [_] => return Err(Broken("a close frame with half a status code")),
        })),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};

    use super::*;

    /// Parts as they can be compared however the stream was cut: payloads joined up to their frame's end.
    fn read(stream: &[u8], cut: usize) -> Result<Vec<String>, Broken> {
        let mut reader = Reader::default();
        let (mut parts, mut data) = (Vec::new(), Vec::new());
        for piece in stream.chunks(cut) {
            reader.read(piece, |part| {
                match part {
                    Part::Data(bytes) => data.extend_from_slice(bytes),
                    Part::End => parts.push(format!("data {}", String::from_utf8_lossy(&std::mem::take(&mut data)))),
                    Part::Ping(payload) => parts.push(format!("ping {}", String::from_utf8_lossy(payload))),
                    Part::Close(code) => parts.push(format!("close {code:?}")),
                }
                true
            })?;
        }
        Ok(parts)
    }

    fn stream(frames: Vec<Frame>) -> Vec<u8> {
        let mut stream = Vec::new();
        for frame in frames {
            frame.format(&mut stream).expect("written");
        }
        stream
    }

    fn text(text: &str) -> Frame {
        Frame::message(text.to_owned(), OpCode::Data(Data::Text), true)
    }

    #[test]
    fn frames_are_read_however_they_are_cut() {
        let long = "x".repeat(70_000);
        let stream = stream(vec![
            text("one"),
            Frame::ping("are you there"),
            text(""),
            Frame::pong("ignored"),
            text(&long),
            Frame::message("more", OpCode::Data(Data::Continue), true),
            Frame::close(Some(CloseFrame {
                code: 1001.into(),
                reason: "over".into(),
            })),
        ]);
        let expected = [
            "data one".to_owned(),
            "ping are you there".into(),
            "data ".into(),
            format!("data {long}"),
            "data more".into(),
            "close Some(1001)".into(),
        ];
        for cut in [1, 2, 3, 7, 13, 64, 4096, 100_000] {
            assert_eq!(read(&stream, cut).expect("sound"), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        let masked = {
            let mut out = Vec::new();
            write(OpCode::Data(Data::Text), b"hi", [1, 2, 3, 4], &mut out);
            out
        };
        let cases: [(&[u8], &str); 6] = [
            (&masked, "a masked frame"),
            (&[0xc1, 0x00], "a frame of an extension that wasn't agreed"),
            (&[0x83, 0x00], "a frame with a reserved opcode"),
            (&[0x09, 0x00], "a control frame that is too long or in fragments"),
            (
                &[0x89, 0x7e, 0x00, 0x7e],
                "a control frame that is too long or in fragments",
            ),
            (&[0x88, 0x01, 0x03], "a close frame with half a status code"),
        ];
        for (bytes, what) in cases {
            for cut in [1, 99] {
                assert_eq!(read(bytes, cut), Err(Broken(what)));
            }
        }
    }

    #[test]
    fn a_reader_that_is_told_to_stop_stops() {
        let stream = stream(vec![Frame::close(None), text("after")]);
        let mut seen = 0;
        let read = Reader::default().read(&stream, |_| {
            seen += 1;
            false
        });
        assert_eq!((read, seen), (Ok(()), 1));
    }

    proptest! {
        /// What is written is what a server's own code reads.
        #[test]
        fn a_written_frame_is_sound(payload in proptest::collection::vec(any::<u8>(), 0..300), mask in any::<[u8; 4]>()) {
            let mut out = Vec::new();
            write(OpCode::Data(Data::Binary), &payload, mask, &mut out);
            let mut cursor = Cursor::new(&out);
            let (header, length) = FrameHeader::parse(&mut cursor).expect("sound").expect("whole");
            prop_assert_eq!((header.mask, length), (Some(mask), payload.len() as u64));
            let body: Vec<u8> = out[cursor.position() as usize..].iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
            prop_assert_eq!(body, payload);
        }

        #[test]
        fn no_bytes_upset_it(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 1usize..50) {
            let _ = read(&bytes, cut);
        }
    }
}
