//! What the parts of a load cost, one by one, and one attach from its beginning to its end.

#[path = "load/door.rs"]
mod door;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gauntlet::load::schedule::Arrivals;
use gauntlet::load::{Control, Finder, Histograms, Metric, RUB_OUT, Recorder, frames, nonce};
use gauntlet::platform::pod::Log;
use gauntlet::platform::{self, Component, Mounts, Pod};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_util::sync::CancellationToken;

/// An attach's place among all, in its nonces.
const TAG: u32 = 0x00ab_cdef;

/// A terminal's output that comes in one read.
const STREAM: usize = 64 * 1024;

/// Samples in each of the histograms that are merged.
const SAMPLES: u64 = 10_000;

/// What is typed as an echo.
fn typed(number: u32) -> Vec<u8> {
    [&[RUB_OUT][..], &nonce(TAG, number)].concat()
}

/// An echo as a server sends it.
fn echoed(number: u32) -> Vec<u8> {
    let text = String::from_utf8(typed(number)).expect("a nonce is ASCII");
    let mut frame = Vec::new();
    Frame::message(text, OpCode::Data(Data::Text), true)
        .format(&mut frame)
        .expect("written into memory");
    frame
}

fn schedule(criterion: &mut Criterion) {
    for text in ["500/s", "100/s..900/s", "100/s@1s,500/s", "poisson:500/s"] {
        let arrivals: Arrivals = text.parse().expect("a rate");
        criterion.bench_function(&format!("1000 starts at {text}"), |bencher| {
            bencher.iter(|| {
                for start in arrivals.starts(1000, 7) {
                    black_box(start);
                }
            });
        });
    }
}

fn recorder(criterion: &mut Criterion) {
    let mut recorder = Recorder::new().expect("histograms");
    let mut nanoseconds = 1;
    criterion.bench_function("record one duration of the steady part", |bencher| {
        bencher.iter(|| {
            // Up to 50 ms, in no order that a processor foresees.
            nanoseconds = nanoseconds * 48_271 % 50_000_017;
            recorder.record(Metric::Echo, nanoseconds, true);
        });
    });
    let encoded = [1, 7].map(|step| {
        let mut histograms = Histograms::new().expect("histograms");
        for sample in 0..SAMPLES {
            histograms.record(Metric::Echo, 20_000 + step * sample * sample);
        }
        histograms.encode()
    });
    criterion.bench_function(&format!("merge two histograms of {SAMPLES} samples"), |bencher| {
        bencher.iter_batched_ref(
            || Histograms::new().expect("histograms"),
            |merged| {
                for histograms in &encoded {
                    merged.add(histograms).expect("histograms of one form");
                }
            },
            BatchSize::LargeInput,
        );
    });
}

fn wire(criterion: &mut Criterion) {
    let (typed, echo) = (typed(1), echoed(1));
    let mut out = Vec::new();
    criterion.bench_function("encode the frame of an echo", |bencher| {
        bencher.iter(|| {
            out.clear();
            frames::write(OpCode::Data(Data::Binary), black_box(&typed), [1, 2, 3, 4], &mut out);
            out.len()
        });
    });
    let mut reader = frames::Reader::default();
    criterion.bench_function("decode the frame of an echo", |bencher| {
        bencher.iter(|| read(&mut reader, black_box(&echo)));
    });
    let stream: Vec<u8> = (0..).flat_map(echoed).take(STREAM - STREAM % echo.len()).collect();
    let mut group = criterion.benchmark_group("a stream of echoes");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| read(&mut reader, black_box(&stream)));
    });
    group.finish();
    let mut finder = Finder::default();
    criterion.bench_function("find the nonce of an echo", |bencher| {
        bencher.iter(|| {
            let mut found = None;
            finder.look(TAG, black_box(&typed), |number| found = Some(number));
            assert_eq!(found, Some(1));
        });
    });
}

fn read(reader: &mut frames::Reader, stream: &[u8]) {
    reader
        .read(stream, |part| {
            black_box(part);
            true
        })
        .expect("sound frames");
}

/// With the making of the engine, of which its histograms are most.
fn engine(criterion: &mut Criterion) {
    criterion.bench_function("the histograms of an engine", |bencher| {
        bencher.iter(|| Recorder::new().expect("histograms"));
    });
    let runtime = Runtime::new().expect("a runtime starts");
    let address = sandbox(&runtime);
    // The first echo is due before the steady part ends, and both are too short to be waited for.
    let moment = Duration::from_micros(10);
    let plan = door::plan(address, 1, 1.0, moment, moment);
    criterion.bench_function("an engine with one attach: opened, an echo, closed", |bencher| {
        bencher.iter(|| {
            let outcome = gauntlet::load::run(&plan, &Control::default()).expect("the engine runs");
            let counts = outcome.recorder.counts;
            assert_eq!((counts.closed, counts.errors()), (1, 0), "{counts:?}");
            assert!(counts.echoes_answered > 0, "{counts:?}");
        });
    });
}

/// Starts a sandbox, which ends with the runtime.
fn sandbox(runtime: &Runtime) -> SocketAddr {
    let (lines, log) = std::sync::mpsc::channel();
    let environment = door::ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pod = Pod {
        env: Arc::new(environment.into()),
        args: Arc::default(),
        ip: Ipv4Addr::LOCALHOST.into(),
        log: Log::new(move |line| drop(lines.send(line.to_owned()))),
        mounts: Mounts::default(),
        kubernetes: None,
        stop: CancellationToken::new(),
    };
    runtime.spawn(platform::run(Component::Sandbox, pod));
    let line = log.recv().expect("the sandbox says that it listens");
    door::address(&line).expect("its first line has its port")
}

criterion_group!(benches, schedule, recorder, wire, engine);
criterion_main!(benches);
