//! Figures and settings of a load in words, as all of its reports say them.

use crate::load::model::is_closed;
use crate::load::objective::{Judged, Kept};
use crate::load::result::{FannedOut, Load, LoadResult, Platform, Verdict};

/// Fewest attaches held that tell what one takes: of fewer, the memory is mostly the process's own.
const FEWEST_HELD: u64 = 100;

/// What the figures of a load of the closed model are, and what they are not.
const CLOSED: &str = "closed model: the next attach or echo begins only after an answer, so a slow door slows the \
                          load down; latencies count from the actual starts, and without a schedule there is no lag \
                          that would tell whether the generator was the limit";

/// That a load is of the closed model, for all whose figures stand beside it.
pub fn closed(result: &LoadResult) -> Option<&'static str> {
    is_closed(&result.load.model).then_some(CLOSED)
}

/// A title of figures, with their model where it is the closed one.
pub fn titled(title: &str, result: &LoadResult) -> String {
    match closed(result) {
        Some(_) => format!("{title} (closed model)").trim_start().to_owned(),
        None => title.to_owned(),
    }
}

/// How attaches begin, in words that follow their number.
pub fn begins(load: &Load) -> String {
    match is_closed(&load.model) {
        true => format!(", {} (closed model)", load.arrivals),
        false => format!(" at {}", load.arrivals),
    }
}

/// How echoes follow one another, in words; `duration` puts the milliseconds between them into words.
pub fn echoes(load: &Load, duration: impl Fn(u64) -> String) -> String {
    match load.echo_every {
        None => "no echo".to_owned(),
        Some(every) if is_closed(&load.model) => format!("an echo {} after each answer", duration(every)),
        Some(every) => format!("an echo every {}", duration(every)),
    }
}

/// Milliseconds to three digits, with the unit that fits.
pub fn milliseconds(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.1} s", v / 1000.0),
        v if v >= 100.0 => format!("{v:.0} ms"),
        v if v >= 10.0 => format!("{v:.1} ms"),
        v => format!("{v:.2} ms"),
    }
}

/// So many attaches, in words.
pub fn attaches(count: u64) -> String {
    match count {
        1 => "1 attach".to_owned(),
        _ => format!("{count} attaches"),
    }
}

/// So many of a thing, in words.
pub fn several(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// How often, in words.
pub fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}

/// The outcome of an objective, in words.
pub fn word(judged: &Judged, verdict: Verdict) -> &'static str {
    match (judged.kept, verdict) {
        // Half a load keeps what a whole one doesn't.
        (Kept::Yes, Verdict::Interrupted) => "not broken so far",
        (kept, _) => kept.word(),
    }
}

/// The share that a failure has: of echoes where it is one of an echo, and else of `of`.
pub fn share(failure: &str, count: u64, of: u64, result: &LoadResult) -> String {
    let is_echo = failure
        .strip_prefix("timed out: ")
        .unwrap_or(failure)
        .starts_with("echo");
    let (of, what) = match is_echo {
        true => (result.counts.echoes_sent, " of the echoes"),
        false => (of, ""),
    };
    format!("{:.1} %{what}", count as f64 / of.max(1) as f64 * 100.0)
}

/// The outcome of a fan-out, in words.
pub fn fan_out(fanned: &FannedOut) -> String {
    format!(
        "{} typed by one of them: {} of {} deliveries, {:.1} frames for each",
        several(fanned.typed, "key"),
        fanned.delivered,
        fanned.deliveries,
        fanned.frames_per_key
    )
}

/// What the generator cost, in words.
pub fn generator(result: &LoadResult) -> String {
    let generator = &result.generator;
    let mut parts = vec![match closed(result) {
        Some(_) => "no schedule, and so no lag".to_owned(),
        None => format!("lag p99 {}", milliseconds(generator.lag_p99)),
    }];
    if let Some(bytes) = generator.bytes_per_attach.filter(|_| result.most_open >= FEWEST_HELD) {
        parts.push(format!("{:.2} KB for each that is held", bytes / 1000.0));
    }
    if let Some(time) = generator.milliseconds_per_attach {
        parts.push(format!("{time:.3} ms of processor for each attach"));
    }
    let handshakes = [
        (generator.milliseconds_per_tls, "full TLS handshake"),
        (generator.milliseconds_per_tls_resumed, "resumed TLS handshake"),
    ];
    for (time, what) in handshakes {
        parts.extend(time.map(|time| format!("{time:.3} ms of processor for each {what}")));
    }
    if let Some(time) = generator.microseconds_per_echo {
        let user = generator.user_microseconds_per_echo.unwrap_or_default();
        parts.push(format!("{time:.1} µs for each echo ({user:.1} in user mode)"));
    }
    parts.join(", ")
}

/// What the reference platform counted and cost, in words.
pub fn platform(platform: &Platform) -> String {
    let count = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    let cost = platform.cost.map_or(String::new(), |cost| {
        format!(
            "; {:.1} s of processor, {} MB",
            cost.processor().as_secs_f64(),
            cost.resident >> 20
        )
    });
    format!(
        "counted {} opened and {} refused itself{cost}",
        count(platform.opened),
        count(platform.refused)
    )
}
