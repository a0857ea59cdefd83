//! What reading `auth.json` costs: where it stays, and where a rotation replaces it every two milliseconds.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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

const FOLDER: &str = "/chatgpt-auth";

/// As in `rotate/atomic`: awk reads the file again and again, here a thousand times.
const READER: &str = "awk -v file=\"$1\" 'BEGIN {
  while (reads < 1000) {
    first = \"\"; last = \"\"
    while ((getline line < file) > 0) { if (first == \"\") first = line; last = line }
    close(file)
    if (first !~ /^[{]/ || last !~ /[}]$/) bad++
    reads++
  }
  printf \"%d bad\\n\", bad
}'";

async fn start(interval: &str) -> World {
    let setup = Setup {
        names: Arc::new(names::contract()),
        mutants: Vec::new(),
        token: TOKEN.into(),
        master_key: "bench-master-key".into(),
        jwt_secret: TOKEN.into(),
        contract: Contract::CodexAuth,
        gateways: Vec::new(),
        binary: None,
        codex: Codex::default(),
    };
    let spec: WorldSpec = serde_json::from_value(json!({ "rotation-interval": interval, "rotation-poll": "1ms" }))
        .expect("every other key of a world has a default");
    World::embedded(&spec, setup, Options::new(program()), None)
        .await
        .expect("a world starts")
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

/// What a shell says in the pod.
async fn shell(context: &StepContext, pod: &Value, script: &str, argument: &str, stdin: &str) -> Value {
    let command = ["sh", "-c", script, "sh", argument];
    let exec = json!({ "exec": command, "in": pod, "container": "codex-cli", "stdin": stdin });
    step(context, exec).await
}

/// A pod with two logins, one of which is in use.
async fn with_logins(context: &StepContext) -> Value {
    let pods = step(context, json!({ "pods": "litellm" })).await;
    let pod = pods["items"][0].clone();
    for account in 1..=2 {
        let claims = json!({ "sub": format!("acct-{account}"), "exp": 99_999_999_999_u64 }).to_string();
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let login = json!({ "tokens": { "access_token": token } }).to_string();
        let put = "cat > \"$1.new\" && mv \"$1.new\" \"$1\"";
        shell(context, &pod, put, &format!("{FOLDER}/auth-{account}.json"), &login).await;
    }
    let active = "until [ -s \"$1\" ]; do sleep 0.01; done";
    shell(context, &pod, active, &format!("{FOLDER}/auth.json"), "").await;
    pod
}

fn reading(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime starts");
    let mut group = criterion.benchmark_group("a thousand reads of auth.json");
    group.sample_size(20);
    for (name, interval) in [("that stays", "60m"), ("that is replaced each 2 ms", "2ms")] {
        let world = Arc::new(runtime.block_on(start(interval)));
        let context = StepContext::new(world.clone(), Redactor::new(), Limits::default());
        let pod = runtime.block_on(with_logins(&context));
        group.bench_function(name, |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let seen = shell(&context, &pod, READER, &format!("{FOLDER}/auth.json"), "").await;
                assert_eq!(seen["stdout"], "0 bad\n", "each read is of a whole file: {seen}");
            });
        });
        drop(context);
        if let Some(world) = Arc::into_inner(world) {
            runtime.block_on(world.stop()).expect("a world ends");
        }
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
