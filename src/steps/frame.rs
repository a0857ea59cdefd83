//! Frames of WebSockets (RFC 6455 §5.2), as bytes.

use super::answer::{head_end, header_lines};

/// The mask of frames: any will do (RFC 6455 §5.3).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked binary frame: keystrokes.
pub fn masked_binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, true, payload, payload.len() as u64)
}

/// A frame (RFC 6455 §5.2) whose header says what it is told to say.
pub fn frame(first_byte: u8, masked: bool, payload: &[u8], length: u64) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first_byte];
    match length {
        0..=125 => bytes.push(mask_bit | length as u8),
        126..=0xffff => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    match masked {
        true => {
            bytes.extend(MASK);
            bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        }
        false => bytes.extend_from_slice(payload),
    }
    bytes
}

/// The code of a close frame among a server's frames; `None` inside where it has no code.
pub fn close_frame(bytes: &[u8]) -> Option<Option<u16>> {
    let close = frames(bytes).into_iter().find(|(first, _)| first & 0x0f == 8);
    close.map(|(_, payload)| payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]])))
}

/// The whole frames behind a head: the first byte and the payload of each.
fn frames(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    let mut rest = head_end(bytes).map_or(&[][..], |end| &bytes[end..]);
    while let Some((first, payload, behind)) = next_frame(rest) {
        frames.push((first, payload));
        rest = behind;
    }
    frames
}

/// The first byte and the payload of a server's frame, and what comes behind it.
fn next_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [first, second, ..] = *bytes else { return None };
    let (length, header) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    let end = usize::try_from(length).ok()?.checked_add(header)?;
    Some((first, bytes.get(header..end)?, &bytes[end..]))
}

/// The reserved bits of a server's frames, as a number from 0 to 7, less the one that an extension which it agreed to
/// gives a meaning (RFC 6455 §5.2, RFC 7692 §6).
pub fn unagreed_bits(bytes: &[u8]) -> u8 {
    let end = head_end(bytes).unwrap_or(bytes.len());
    let agreed = header_lines(&bytes[..end])
        .iter()
        .any(|(name, value)| name == "sec-websocket-extensions" && value.contains("permessage-deflate"));
    let reserved = frames(bytes)
        .iter()
        .fold(0u8, |bits, (first, _)| bits | ((first >> 4) & 7));
    if agreed { reserved & 3 } else { reserved }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_bits_mean_what_was_agreed() {
        let bits = |extensions: &str, frames: &[u8]| {
            let head = format!("HTTP/1.1 101 Switching Protocols\r\n{extensions}\r\n");
            unagreed_bits(&[head.as_bytes(), frames].concat())
        };
        let agreed = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
        let (plain, compressed, odd) = (b"\x81\x01a", b"\xc1\x01a", b"\xa1\x01a");
        assert_eq!(bits("", plain), 0);
        assert_eq!(bits("", compressed), 4);
        assert_eq!(bits("", &[&plain[..], compressed].concat()), 4);
        assert_eq!(bits(agreed, compressed), 0);
        assert_eq!(bits(agreed, odd), 2);
        assert_eq!(bits("", b"\xc1\x05a"), 0, "not a whole frame");
    }
}
