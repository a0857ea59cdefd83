//! Plans, executes and judges.

pub mod context;
pub mod eligibility;
mod evidence;
pub mod execute;
pub mod plan;
pub mod prove;
pub mod reproduce;
pub mod run;
mod schedule;
mod step;
mod story;
