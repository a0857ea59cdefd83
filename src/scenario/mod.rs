//! Scenarios: what is to be proven, as data.
//!
//! A file becomes a tree with places ([`node`]), is held against the schema that editors use
//! too, and becomes a [`Scenario`]. Templates fill values in when it runs, [`judge()`] says
//! whether what a step expects holds of what it observed, [`select`] chooses among scenarios.

pub(crate) mod checker;
mod claim;
mod constant;
pub mod duration;
mod expression;
mod field;
mod file;
mod judge;
mod load;
mod loads;
mod model;
mod needs;
pub mod node;
mod parse;
mod phrase;
pub mod policy;
pub mod predicate;
pub mod problem;
mod references;
mod roads;
mod schema;
mod scope;
pub mod select;
pub(crate) mod shape;
mod soundness;
mod source;
mod step;
mod template;
mod texts;
pub mod variables;
mod words;

pub use judge::{JudgeError, facts, judge};
pub use load::{built_in, load, load_sources, read_file, read_folder};
pub use model::*;
pub use policy::Policies;
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use scope::Scope;
pub use source::{Place, Source, Span};
pub use template::{TemplateError, render, render_string};
pub use texts::refuse_objects;
pub use words::claim as expectation_in_words;
