//! What a world costs: started with its platform and stopped again; and one attach on it.

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use gauntlet::cli::platform::program;
use gauntlet::redact::Redactor;
use gauntlet::steps::{Limits, StepContext, verb};
use gauntlet::vocabulary::Contract;
use gauntlet::vocabulary::WorldSpec;
use gauntlet::vocabulary::names;
use gauntlet::world::World;
use gauntlet::world::codex::Codex;
use gauntlet::world::embedded::Options;
use gauntlet::world::running::Setup;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

async fn start() -> World {
    let setup = Setup {
        names: Arc::new(names::contract()),
        mutants: Vec::new(),
        token: TOKEN.into(),
        master_key: "bench-master-key".into(),
        jwt_secret: TOKEN.into(),
        contract: Contract::HarnessToken,
        gateways: Vec::new(),
        binary: None,
        codex: Codex::default(),
    };
    World::embedded(&spec(), setup, Options::new(program()), None)
        .await
        .expect("a world starts")
}

/// As a scenario file that says nothing of its world.
fn spec() -> WorldSpec {
    serde_json::from_value(json!({})).expect("every key of a world has a default")
}

async fn step(context: &StepContext, keys: Value) -> Value {
    let name = keys
        .as_object()
        .and_then(|keys| keys.keys().next().cloned())
        .expect("a step has a verb");
    let run = verb(&name).expect("the verb is there").run;
    run(keys, context, false)
        .await
        .expect("the step can be carried out")
        .value
}

fn world(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    criterion.bench_function("a fresh world, started and stopped", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async { start().await.stop().await.expect("a world ends") });
    });
    let world = Arc::new(runtime.block_on(start()));
    let context = StepContext::new(world.clone(), Redactor::new(), Limits::default());
    let session = runtime.block_on(step(&context, json!({ "session": "new" })));
    criterion.bench_function("one attach with an echo, through the proxy", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let seen = step(&context, json!({ "attach": session, "token": TOKEN })).await;
            assert_eq!(seen["works"], true, "the terminal must work: {seen}");
        });
    });
    drop(context);
    if let Some(world) = Arc::into_inner(world) {
        runtime.block_on(world.stop()).expect("a world ends");
    }
}

criterion_group!(benches, world);
criterion_main!(benches);
