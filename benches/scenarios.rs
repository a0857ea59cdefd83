//! What reading scenarios costs: `gauntlet list` and every run begin with it.

use criterion::{Criterion, criterion_group, criterion_main};
use gauntlet::scenario::{built_in, load_sources};

fn scenarios(criterion: &mut Criterion) {
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
