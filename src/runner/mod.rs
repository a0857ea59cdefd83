//! Plans, executes and judges.

pub mod events;
