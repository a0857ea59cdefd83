//! Plans, executes and judges.

mod attempts;
pub mod context;
pub mod eligibility;
mod evidence;
pub mod execute;
pub mod plan;
pub mod prove;
pub mod reproduce;
pub mod run;
mod schedule;
pub mod shared_worlds;
pub mod sharing;
mod step;
mod story;
pub mod stretch;
