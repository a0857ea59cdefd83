//! The steps of a scenario, read when they are first looked at.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use super::model::Step;

/// The steps of a file, and those of its `finally`.
type Parts = (Vec<Step>, Vec<Step>);

/// Steps in their order. Most commands look at the steps of few of the scenarios, so those of a built-in file are
/// read when they are first looked at.
#[derive(Clone)]
pub struct StepList {
    parts: Arc<LazyLock<Parts, Box<dyn FnOnce() -> Parts + Send>>>,
    part: fn(&Parts) -> &[Step],
}

impl StepList {
    /// The steps of a file and those of its `finally`, which `read` gives once, when either is looked at.
    pub(super) fn read_later(read: impl FnOnce() -> Parts + Send + 'static) -> (StepList, StepList) {
        let parts = Arc::new(LazyLock::new(Box::new(read) as Box<dyn FnOnce() -> Parts + Send>));
        let steps = StepList {
            parts: Arc::clone(&parts),
            part: |parts| &parts.0,
        };
        let finally = StepList {
            parts,
            part: |parts| &parts.1,
        };
        (steps, finally)
    }

    /// Steps that were read already.
    pub(super) fn of(steps: Vec<Step>, finally: Vec<Step>) -> (StepList, StepList) {
        StepList::read_later(move || (steps, finally))
    }
}

impl Deref for StepList {
    type Target = [Step];

    fn deref(&self) -> &[Step] {
        (self.part)(&self.parts)
    }
}

impl<'s> IntoIterator for &'s StepList {
    type Item = &'s Step;
    type IntoIter = std::slice::Iter<'s, Step>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for StepList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
