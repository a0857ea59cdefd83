//! `gauntlet`: an end-to-end conformance and load harness for the doors of an
//! LLM agent platform on Kubernetes.
//!
//! The way through is one way, and modules form no circle: [`vocabulary`] ← [`yaml`], [`template`] ← [`platform`],
//! [`profile`] ← [`world`] ← [`steps`] ← [`scenario`] ← [`runner`] ← [`cli`]. Scenario files are parsed and validated,
//! [`runner`] plans and executes them with the verbs of [`steps`] in a [`world`], and what happens leaves as [`events`]
//! for [`report`]. [`load`] measures, for the verb `load` and for the command line. The [`platform`] is the system under
//! test that gauntlet brings along; it knows nothing of the harness.

pub mod cli;
pub mod events;
pub mod expected;
pub mod file_input;
pub mod hmac;
pub mod load;
pub mod platform;
pub mod profile;
pub mod redact;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod steps;
pub mod template;
pub mod trust;
pub mod vocabulary;
pub mod world;
pub mod yaml;
