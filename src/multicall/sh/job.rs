//! A program in the foreground.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use nix::sys::signal::SigSet;
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use rustix::termios::tcsetpgrp;

/// How a program ended.
pub enum Ended {
    Code(u8),
    /// By Ctrl-C.
    Interrupted,
}

/// Runs a program to its end. With a terminal it is a job of its own: Ctrl-C
/// and the terminal's end reach it and not the shell.
pub fn run(program: &mut Command, job: bool) -> io::Result<Ended> {
    if !job {
        return program.status().map(ended);
    }
    let mut child = program.process_group(0).spawn()?;
    let group = Pid::from_child(&child);
    // Whoever else held the terminal has it no more; then there is nothing to hand over.
    let _held = tcsetpgrp(io::stdin(), group);
    // It may have read before the terminal was its own, and been stopped for that.
    let _running = kill_process_group(group, Signal::CONT);
    let status = child.wait();
    take_back();
    status.map(ended)
}

/// The shell's group gets the terminal. One that hasn't got it is stopped for taking it, unless it blocks the signal.
fn take_back() {
    let background = SigSet::from(nix::sys::signal::Signal::SIGTTOU);
    let _blocked = background.thread_block();
    // It may have gone meanwhile; reading from it will tell.
    let _back = tcsetpgrp(io::stdin(), getpgrp());
    let _unblocked = background.thread_unblock();
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, Some(signal)) if signal == Signal::INT.as_raw() => Ended::Interrupted,
        (None, signal) => Ended::Code(
            signal
                .and_then(|signal| u8::try_from(128 + signal).ok())
                .unwrap_or(u8::MAX),
        ),
    }
}
