//! Frames of WebSockets (RFC 6455 §5.2), as bytes.

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
