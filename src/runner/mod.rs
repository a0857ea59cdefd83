//! Plans, executes and judges.

pub mod events;
mod evidence;
pub mod execute;
pub mod fit;
pub mod plan;
pub mod prove;
pub mod reproduce;
pub mod run;
mod schedule;
pub mod seed;
mod step;
mod story;
