//! Scenarios: what is to be proven, as data.
//!
//! A file becomes a tree with places ([`yaml`](crate::yaml)), is held against the schema that editors use
//! too, and becomes a [`Scenario`]. Templates fill values in when it runs, [`judge()`] says
//! whether what a step expects holds of what it observed, [`select`] chooses among scenarios.

mod claim;
mod constant;
mod field;
mod file;
mod judge;
mod load;
mod model;
mod needs;
mod parse;
mod phrase;
pub mod predicate;
mod references;
mod roads;
mod schema;
pub mod select;
mod soundness;
mod step;
mod step_list;
mod texts;
pub mod variables;
mod words;

pub use judge::{JudgeError, facts, judge};
pub use load::{built_in, load, load_sources, read_file, read_folder};
pub use model::*;
pub use schema::schema;
pub use step_list::StepList;
pub use texts::refuse_objects;
pub use words::claim as expectation_in_words;
