//! What is shown of a load while it runs: on a terminal a block that is drawn again in place, elsewhere lines.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::{Size, shown};
use crate::cli::process::Process;
use crate::load::{Progress, Second, tick};
use crate::redact::Redactor;
use crate::report::Block;

/// Elsewhere than on a terminal each fifth second is shown: all of them would fill a log.
const EVERY: u64 = 5;

/// Shows a load's seconds on standard error. Dropped, it takes its block away.
pub struct View(How);

enum How {
    Nothing,
    /// Each second, or only some.
    Lines {
        each: bool,
    },
    Block(Box<Drawn>),
}

struct Drawn {
    block: Block,
    progress: Progress,
    width: usize,
    redactor: Redactor,
}

impl View {
    /// Of a load of this size.
    pub fn new(quiet: bool, size: &Size, process: &Process) -> View {
        match View::of_trial(quiet, size, process).0 {
            How::Nothing if !quiet => View(How::Lines {
                each: std::io::stderr().is_terminal(),
            }),
            other => View(other),
        }
    }

    /// Of one trial of several, each of which has a line of its own at its end: elsewhere than on a terminal that is
    /// all.
    pub fn of_trial(quiet: bool, size: &Size, process: &Process) -> View {
        if quiet || !process.console.stderr_terminal {
            return View(How::Nothing);
        }
        let planned = size.arrivals.length(size.attaches) + size.hold.as_secs_f64();
        View(How::Block(Box::new(Drawn {
            block: Block::new(),
            progress: Progress::new(
                size.attaches,
                Duration::try_from_secs_f64(planned).unwrap_or(Duration::MAX),
            ),
            // The last column stays free: some terminals begin another line after it.
            width: process.console.live_width.saturating_sub(1),
            redactor: process.redactor.clone(),
        })))
    }

    /// The same with a line each second in place of the block.
    pub fn in_lines(self) -> View {
        match self.0 {
            How::Block(_) => View(How::Lines { each: true }),
            other => View(other),
        }
    }

    /// Shows a second.
    pub fn see(&mut self, second: &Second) {
        match &mut self.0 {
            How::Nothing => {}
            How::Lines { each } => {
                if *each || (second.at as u64).is_multiple_of(EVERY) {
                    // Numbers alone: there is nothing to redact.
                    let _closed = writeln!(std::io::stderr(), "{}", tick(second));
                }
            }
            How::Block(drawn) => {
                let Drawn {
                    block,
                    progress,
                    width,
                    redactor,
                } = drawn.as_mut();
                progress.see(second, |kind| shown(kind, redactor));
                block.draw(&progress.lines(*width));
            }
        }
    }
}
