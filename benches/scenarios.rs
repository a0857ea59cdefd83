//! What scenarios cost: `gauntlet list` and every run begin with reading the built-in ones, `gauntlet check` with
//! all that is looked at in a file.

use criterion::{Criterion, criterion_group, criterion_main};
use gauntlet::scenario::{built_in, load, load_sources};

fn scenarios(criterion: &mut Criterion) {
    criterion.bench_function("read the built-in scenarios", |bencher| {
        bencher.iter(|| load(None).expect("the built-in scenarios are valid"));
    });
    let sources = built_in();
    criterion.bench_function(
        &format!("parse and validate all {} scenarios", sources.len()),
        |bencher| {
            bencher.iter(|| load_sources(&sources).expect("the built-in scenarios are valid"));
        },
    );
}

criterion_group!(benches, scenarios);
criterion_main!(benches);
