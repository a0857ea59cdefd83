//! Remembers standard output, which is searched for secrets as files are.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What was printed so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes on, and remembers what has gone out.
pub(super) struct Tee<W> {
    pub(super) inner: W,
    pub(super) printed: Printed,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        let mut printed = self.printed.0.lock().unwrap_or_else(PoisonError::into_inner);
        printed.extend_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
