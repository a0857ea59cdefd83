//! Redaction of what is written piece by piece.

use std::io::{self, Write};

use super::{Redactor, automaton};

/// Redacts what is written to it, also where a secret comes in pieces.
///
/// It holds back what may be the beginning of a secret: [`finish`] says that
/// nothing follows. Flushing doesn't let go of it, since a secret may go on
/// after a flush. Dropped without [`finish`], it writes the rest and an error is
/// lost, as with `BufWriter`.
///
/// [`finish`]: RedactingWriter::finish
#[derive(Debug)]
pub struct RedactingWriter<W: Write> {
    redactor: Redactor,
    /// None once finished.
    inner: Option<W>,
    pending: Vec<u8>,
}

impl<W: Write> RedactingWriter<W> {
    pub(super) fn new(redactor: Redactor, inner: W) -> RedactingWriter<W> {
        RedactingWriter {
            redactor,
            inner: Some(inner),
            pending: Vec::new(),
        }
    }

    /// Writes what was held back, flushes, and gives the writer underneath back.
    pub fn finish(mut self) -> io::Result<W> {
        self.release(true)?;
        let mut inner = self.inner.take().ok_or_else(finished)?;
        inner.flush()?;
        Ok(inner)
    }

    fn release(&mut self, all: bool) -> io::Result<()> {
        let inner = self.inner.as_mut().ok_or_else(finished)?;
        let cut = if all {
            self.pending.len()
        } else {
            let chunks = self.redactor.chunks();
            automaton::find(&chunks, &self.pending).settled(&chunks, &self.pending)
        };
        let settled: Vec<u8> = self.pending.drain(..cut).collect();
        inner.write_all(&self.redactor.redact_bytes(&settled))
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        self.release(false)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.as_mut().ok_or_else(finished)?.flush()
    }
}

impl<W: Write> Drop for RedactingWriter<W> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            // There is nobody left to tell.
            let _ = self.release(true);
        }
    }
}

fn finished() -> io::Error {
    io::Error::other("the redacting writer is finished")
}
