//! Where commands come from: a terminal, or a file or pipe at standard input.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGQUIT, SIGTSTP};
use signal_hook::low_level::pipe;

/// Commands, line by line.
pub struct Input {
    /// Has a byte for each Ctrl-C, where a person types.
    interrupts: Option<UnixStream>,
}

/// What came.
pub enum Read {
    Line,
    Interrupted,
    End,
}

impl Input {
    /// Takes over the terminal at standard input. Its line discipline echoes and edits lines.
    pub fn terminal() -> io::Result<Input> {
        let stdin = io::stdin();
        let mut settings = tcgetattr(&stdin)?;
        // There is nothing to bring a stopped job back with.
        settings.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(&stdin, OptionalActions::Now, &settings)?;
        // Caught, not blocked or ignored: programs that are started get neither.
        let (interrupts, raised) = UnixStream::pair()?;
        interrupts.set_nonblocking(true)?;
        pipe::register(SIGINT, raised)?;
        for signal in [SIGQUIT, SIGTSTP] {
            signal_hook::flag::register(signal, Default::default())?;
        }
        Ok(Input {
            interrupts: Some(interrupts),
        })
    }

    /// Reads commands without a prompt.
    pub fn script() -> Input {
        Input { interrupts: None }
    }

    /// Appends the next line to a text.
    pub fn line(&mut self, prompt: &str, text: &mut String) -> io::Result<Read> {
        if self.interrupts.is_some() {
            io::stderr().write_all(prompt.as_bytes())?;
        }
        let mut line = Vec::new();
        let read = loop {
            if self.interrupted()? {
                io::stderr().write_all(b"\n")?;
                return Ok(Read::Interrupted);
            }
            // Byte by byte: what comes behind the line is the command's own input.
            let mut byte = [0];
            match rustix::io::read(io::stdin(), &mut byte) {
                Ok(0) if line.is_empty() => break Read::End,
                Ok(0) => break Read::Line,
                Ok(_) => line.push(byte[0]),
                Err(Errno::INTR) => {}
                // The terminal has gone.
                Err(Errno::IO) => break Read::End,
                Err(error) => return Err(error.into()),
            }
            if line.last() == Some(&b'\n') {
                break Read::Line;
            }
        };
        text.push_str(&String::from_utf8_lossy(&line));
        Ok(read)
    }

    /// Waits until there is something to read; tells whether Ctrl-C came before.
    fn interrupted(&mut self) -> io::Result<bool> {
        let Some(interrupts) = &self.interrupts else {
            return Ok(false);
        };
        loop {
            match rustix::io::read(interrupts, &mut [0; 64]) {
                Ok(_) => return Ok(true),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
            let stdin = io::stdin();
            let mut ready = [
                PollFd::new(&stdin, PollFlags::IN),
                PollFd::new(interrupts, PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                // Whichever came first: a terminal drops what was typed before Ctrl-C.
                Ok(_) if ready[1].revents().is_empty() => return Ok(false),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
