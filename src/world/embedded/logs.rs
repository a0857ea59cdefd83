//! Containers' logs.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

/// Bytes of text that a log keeps; the oldest lines go first.
const KEPT: usize = 4 << 20;

/// The log of one run of a container.
#[derive(Clone)]
pub struct LogBuffer(Arc<Inner>);

struct Inner {
    lines: Mutex<Lines>,
    /// The number of lines so far, and whether there will be more.
    progress: watch::Sender<(u64, bool)>,
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<(Timestamp, Arc<str>)>,
    bytes: usize,
    /// Lines that are no longer kept.
    dropped: u64,
}

/// Which lines a reader wants.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    /// Only the last so many of those that are there.
    pub tail: Option<usize>,
    pub since: Option<Timestamp>,
    /// With the time in front of every line.
    pub timestamps: bool,
}

impl LogBuffer {
    pub fn new() -> LogBuffer {
        LogBuffer(Arc::new(Inner {
            lines: Mutex::default(),
            progress: watch::Sender::new((0, true)),
        }))
    }

    /// Adds text; a line's end in it starts another line.
    pub fn push(&self, text: &str) {
        let now = Timestamp::now();
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for line in text.split('\n') {
            count += 1;
            lines.bytes += line.len();
            lines.kept.push_back((now, line.into()));
        }
        while lines.bytes > KEPT
            && let Some((_, line)) = lines.kept.pop_front()
        {
            lines.bytes -= line.len();
            lines.dropped += 1;
        }
        drop(lines);
        self.0.progress.send_modify(|(total, _)| *total += count);
    }

    /// No more lines will come: the container has ended. Followers end too.
    pub fn close(&self) {
        self.0.progress.send_modify(|(_, open)| *open = false);
    }

    /// A reader that starts where `wanted` says.
    pub fn read(&self, wanted: Wanted) -> Reader {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = wanted
            .since
            .map_or(0, |since| lines.kept.partition_point(|(at, _)| *at < since));
        let tail = wanted.tail.map_or(0, |tail| lines.kept.len().saturating_sub(tail));
        let next = lines.dropped + recent.max(tail) as u64;
        drop(lines);
        let wake = self.0.progress.subscribe();
        Reader {
            log: self.clone(),
            next,
            timestamps: wanted.timestamps,
            wake,
        }
    }
}

/// Reads a log from a line on.
pub struct Reader {
    log: LogBuffer,
    next: u64,
    timestamps: bool,
    wake: watch::Receiver<(u64, bool)>,
}

impl Reader {
    /// The text that is there; empty if there is nothing new.
    pub fn take(&mut self) -> String {
        let lines = self.log.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(self.next.saturating_sub(lines.dropped)).unwrap_or(usize::MAX);
        let mut text = String::new();
        for (at, line) in lines.kept.iter().skip(start) {
            if self.timestamps {
                text.push_str(&at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string());
            }
            text.push_str(line);
            text.push('\n');
        }
        self.next = lines.dropped + lines.kept.len() as u64;
        text
    }

    /// Waits for more text; `None` when the container has ended and all was read.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let (_, open) = *self.wake.borrow_and_update();
            let text = self.take();
            if !text.is_empty() {
                return Some(text);
            }
            if !open || self.wake.changed().await.is_err() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_and_bounds() {
        let log = LogBuffer::new();
        for line in ["a", "b", "c\nd"] {
            log.push(line);
        }
        let read = |tail| {
            log.read(Wanted {
                tail,
                ..Wanted::default()
            })
            .take()
        };
        assert_eq!(read(None), "a\nb\nc\nd\n");
        assert_eq!(read(Some(2)), "c\nd\n");
        assert_eq!(read(Some(0)), "");
        log.push(&"x".repeat(KEPT));
        assert_eq!(read(None).len(), KEPT + 1);
    }

    #[tokio::test]
    async fn followers_get_the_rest_and_end() {
        let log = LogBuffer::new();
        log.push("first");
        let mut reader = log.read(Wanted::default());
        assert_eq!(reader.next().await.as_deref(), Some("first\n"));
        log.push("second");
        log.close();
        assert_eq!(reader.next().await.as_deref(), Some("second\n"));
        assert_eq!(reader.next().await, None);
    }
}
