//! State shared by all attaches of one engine: clock, recorder, buffers, and the source of keys and masks.

use super::clock::Clock;
use super::fan_out::FanOut;
use super::recorder::Recorder;

/// What all attaches of an engine share.
pub struct Shared {
    pub clock: Clock,
    pub recorder: Recorder,
    pub buffer: Vec<u8>,
    pub out: Vec<u8>,
    /// The steady part has begun at this moment, and not ended.
    pub steady_since: Option<u64>,
    pub secret: u64,
    /// Where one types for all.
    pub fan_out: Option<FanOut>,
    /// Between two echoes of the schedule; 0 in the closed model, which has none.
    pub echo_every: u64,
    /// In the closed model, between an answer and the next echo; none where nobody types, and in the open model.
    pub think: Option<u64>,
    pub deadline: u64,
}

impl Shared {
    /// Sixteen bytes for an attach's key, the same whenever they are asked for.
    pub fn key(&self, number: u32) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&mix(self.secret ^ u64::from(number)).to_le_bytes());
        key[8..].copy_from_slice(&mix(!self.secret ^ u64::from(number)).to_le_bytes());
        key
    }

    /// A mask for a frame: against caches on the way that take frames for HTTP, not against anybody who listens
    /// (RFC 6455 §10.3).
    pub fn mask(&self, number: u32, frame: u64) -> [u8; 4] {
        let mixed = mix(self.secret ^ (u64::from(number) << 32) ^ frame);
        [
            mixed as u8,
            (mixed >> 8) as u8,
            (mixed >> 16) as u8,
            (mixed >> 24) as u8,
        ]
    }

    /// A frame of a terminal's output is over.
    pub fn frame_ends(&mut self) {
        if self.fan_out.as_ref().is_some_and(|fan_out| fan_out.typed() > 0) {
            self.recorder.counts.frames_delivered += 1;
        }
    }

    pub fn is_steady(&self, intended: u64) -> bool {
        self.steady_since.is_some_and(|since| intended >= since)
    }
}

/// SplitMix64's finalizer: a number from a number, without an order that shows.
pub fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
