//! Scenarios: what is to be proven, as data.
//!
//! A file becomes a tree with places ([`node`]), is held against the schema that editors use
//! too, and becomes the [`model`]. [`template`]s fill values in when it runs, [`judge()`] says
//! whether what a step expects holds of what it observed, [`select`] chooses among scenarios.

mod capture;
mod checker;
mod claim;
pub mod duration;
pub mod expression;
pub mod field;
mod judge;
pub mod model;
pub mod node;
mod phrase;
pub mod policy;
pub mod predicate;
pub mod problem;
mod scope;
pub mod select;
pub mod source;
pub mod template;
mod words;

pub use capture::CaptureError;
pub use judge::{JudgeError, Judgement, facts, judge};
pub use model::*;
pub use policy::Policies;
pub use problem::{Problem, Problems};
pub use scope::Scope;
pub use source::{Place, Source, Span};
pub use template::{TemplateError, render, render_string, render_text};
