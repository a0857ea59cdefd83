//! Files of users: YAML as a tree with places, held against a schema, and what is wrong with it.

pub(crate) mod checker;
pub mod node;
pub mod problem;
mod reader;
pub(crate) mod shape;
mod source;

pub use problem::{Problem, Problems};
pub use source::{Place, Source, Span};
