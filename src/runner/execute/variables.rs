//! What templates of a run can name, and its seed.

use std::borrow::Cow;

use super::broken::Broken;
use crate::events::RunOf;
use crate::redact::Redactor;
use crate::runner::context::RunContext;
use crate::runner::eligibility::routes_of;
use crate::runner::plan::Planned;
use crate::scenario::variables::set_built_in;
use crate::template::{Scope, render};
use crate::vocabulary::Policies;
use crate::world::World;

/// Each run has its own seed, so that it can be repeated alone.
pub(super) fn seed_of(run: &RunOf, seed: u64) -> u64 {
    // FNV-1a: the same on every machine and in every version, unlike the standard library's hasher.
    run.case()
        .bytes()
        .fold(run.seed(seed) ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// What templates can name: the secret, the names, the matrix, the scenario's own variables.
pub(super) fn variables(
    scope: &mut Scope,
    planned: &Planned,
    shared: &RunContext,
    world: &World,
    redactor: &Redactor,
) -> Result<(), Broken> {
    let (names, policies) = (&world.names, policies(planned, shared, world));
    set_built_in(
        scope,
        names,
        &policies,
        &routes(planned, shared, world),
        &world.token,
        &world.master_key,
        &world.jwt_secret,
    );
    let given = planned.parameters.iter().map(|(name, value)| (name, value));
    for (name, template) in given.chain(&planned.scenario.vars) {
        let value = render(template, scope).map_err(|error| Broken::variable(name, error))?;
        // One made of the world's token is known as that already.
        let unknown = |text: &&str| matches!(redactor.redact(text), Cow::Borrowed(_));
        if let Some(token) = value.as_str().filter(|text| looks_secret(text)).filter(unknown) {
            let label = name.to_uppercase().replace('-', "_");
            redactor
                .add(&label, token)
                .map_err(|error| Broken::variable(name, error))?;
        }
        scope.set(name, value);
    }
    Ok(())
}

/// The policies that templates name: in a world of the scenario's own, what it asks for and the reference platform does.
fn policies(planned: &Planned, shared: &RunContext, world: &World) -> Policies {
    if world.installation().is_some() {
        return shared.policies.clone();
    }
    let (mut policies, spec) = (Policies::reference(), &planned.scenario.world);
    for (name, asked) in [
        ("rotation.interval", &spec.rotation_interval),
        ("rotation.poll", &spec.rotation_poll),
        ("park.transient", &spec.park_transient),
    ] {
        if let Some(asked) = asked {
            policies.declare(name, asked);
        }
    }
    policies
}

/// Guarded routes beside the contract's. A platform of ours has none; there the list of models stands for them.
fn routes(planned: &Planned, shared: &RunContext, world: &World) -> Vec<String> {
    match world.installation() {
        Some(_) => routes_of(planned, &shared.routes, world.name("agents.path")),
        None => vec![format!("GET {}/models", world.name("agents.path"))],
    }
}

/// Whether a value could be a token: 64 hexadecimal digits, as the contract makes them.
fn looks_secret(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
