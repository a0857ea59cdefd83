//! A cluster that gauntlet makes with `kind`, and the worlds on it.

pub mod base;
pub mod cluster;
pub mod data_plane;
pub mod image;
mod load_image;
pub mod machine;
pub mod making;
pub mod namespace;
mod node;
pub mod tool;

pub use cluster::{KindCluster, KindError};
