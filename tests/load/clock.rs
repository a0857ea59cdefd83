//! A wall clock that is set back during a load changes no latency.

use std::path::Path;
use std::process::Command;

use super::{Door, load, ran, result};
use crate::binary::folder;

/// A library that sets the wall clock back by an hour each time that somebody reads it, as a process sees it; every
/// thousand times it begins anew.
const STEPS: &str = r"
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int reads;

static long back(void) { return 3600L * (1 + __atomic_fetch_add(&reads, 1, __ATOMIC_RELAXED) % 1000); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec -= back();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed)
        now->tv_sec -= back();
    return failed;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}
";

fn built(folder: &Path) -> String {
    let (source, library) = (folder.join("steps.c"), folder.join("libsteps.so"));
    std::fs::write(&source, STEPS).expect("written");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .output()
        .expect("the C compiler that links Rust's programs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_wall_clock_that_is_set_back_changes_no_latency() {
    let folder = folder();
    let library = built(folder.path());
    let door = Door::open(&[("ECHO_TIME", "20ms")]);
    let now = jiff::Timestamp::now();
    for workers in ["1", "2"] {
        let arguments = ["-n", "4", "--hold", "1s", "--echo-every", "300ms", "--workers", workers];
        let mut load = load(folder.path(), &door.url(), &arguments);
        load.env("LD_PRELOAD", &library);
        ran(load).exits(0);
        let result = result(folder.path());
        let started: jiff::Timestamp = result["started"].as_str().expect("a time").parse().expect("RFC 3339");
        let back = now.duration_since(started).as_secs();
        assert!(back > 1800, "the wall clock was not set back: {started}");
        let ended = result["ended"].as_f64().expect("seconds");
        assert!((1.0..60.0).contains(&ended), "{ended}");
        for (name, latency) in result["latencies"].as_object().expect("latencies") {
            assert!(latency["max"].as_f64() < Some(30_000.0), "{name}: {latency}");
        }
        // What the door takes is in them.
        let echo = &result["latencies"]["echo"];
        assert!(echo["min"].as_f64() >= Some(20.0), "{echo}");
        assert_eq!(result["counts"]["echoesUnanswered"].as_u64(), Some(0));
    }
}
