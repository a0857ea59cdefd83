//! Where a scenario runs: worlds with a platform on them, and the roads to its doors.

pub mod deploy;
pub mod embedded;
pub mod fit;
pub mod names;
pub mod roads;
pub mod world;

pub use roads::{Door, RoadError};
pub use world::{World, WorldError};
