//! `gauntlet`: an end-to-end conformance and load harness for the doors of an
//! LLM agent platform on Kubernetes.
//!
//! The way through is one way: [`scenario`] files are parsed and validated,
//! [`runner`] plans and executes them with the verbs of [`steps`] against a
//! [`world`], and what happens leaves as events for [`report`]. What can be
//! judged before anything runs is [`manifests`]' to tell. The [`platform`] is
//! the system under test that gauntlet brings along; it knows nothing of the
//! harness.

pub mod cli;
pub mod expected;
pub mod file_input;
pub mod hmac;
pub mod load;
pub mod manifests;
pub mod platform;
pub mod profile;
pub mod redact;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod steps;
pub mod world;
