//! Mutants that need the whole platform do what they say.

use super::*;

async fn world(mutants: &'static str) -> World {
    World::start(Setup {
        token: Some(OLD),
        mutants,
        balancer: mutants.contains("balancer"),
        ..Setup::default()
    })
    .await
}
