//! Colours, where they are wanted.

use crate::events::RunVerdict;
use crate::report::words::Outcome;

/// Whether and how to colour.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) colored: bool,
}

const RED: &str = "1;31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";
const MAGENTA: &str = "1;35";
const BOLD: &str = "1";

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        if self.colored {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint(BOLD, text)
    }

    /// What went wrong in a line of the user's own.
    pub(super) fn wrong(self, text: &str) -> String {
        self.paint(RED, text)
    }

    /// The word for it, right-aligned in `width` columns.
    pub(super) fn outcome(self, outcome: Outcome, width: usize) -> String {
        let code = match outcome {
            Outcome::Pass => GREEN,
            Outcome::Fail | Outcome::UnexpectedPass | Outcome::Flaky => RED,
            Outcome::Error => MAGENTA,
            Outcome::Skip | Outcome::ExpectedFailure | Outcome::Interrupted | Outcome::ToleratedFlaky => YELLOW,
        };
        let word = outcome.word();
        // Spaces outside the colours, so that no width is counted wrong.
        format!("{:1$}{2}", "", width.saturating_sub(word.len()), self.paint(code, word))
    }

    pub(super) fn verdict(self, verdict: RunVerdict, word: &str) -> String {
        let code = match verdict {
            RunVerdict::Passed => GREEN,
            RunVerdict::Failed => RED,
            RunVerdict::Error | RunVerdict::NothingRan => MAGENTA,
            RunVerdict::Partial | RunVerdict::Interrupted => YELLOW,
        };
        self.paint(code, word)
    }
}
