//! Console output of a load: a line for each second, and the result at the end.

use std::fmt::Write;

use super::cluster::TITLE as PODS;
use super::http::{COLUMNS, HttpResult, TITLE};
use super::objective::{Judged, Kept};
use super::recorder::Second;
use super::result::{FannedOut, Latency, LoadResult, Platform, Verdict};

/// Fewest attaches held that tell what one takes: of fewer, the memory is mostly the process's own.
const FEWEST_HELD: u64 = 100;

/// Columns of a latency's name, at least.
const NAME: usize = 14;

/// The line of a second.
pub fn tick(second: &Second) -> String {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), milliseconds);
    format!(
        "{:6.0} s  {:>6} open  {:>5} attaches/s p50 {:>7} p99 {:>7}  {:>6} echoes/s p50 {:>7} p99 {:>7}  {} errors  lag p99 {}",
        second.at,
        second.open,
        second.opened,
        ms(second.attach_p50),
        ms(second.attach_p99),
        second.echoes,
        ms(second.echo_p50),
        ms(second.echo_p99),
        second.errors,
        ms(second.lag_p99),
    )
}

/// Milliseconds to three digits, with the unit that fits.
pub(super) fn milliseconds(value: f64) -> String {
    match value {
        v if v >= 10_000.0 => format!("{:.1} s", v / 1000.0),
        v if v >= 100.0 => format!("{v:.0} ms"),
        v if v >= 10.0 => format!("{v:.1} ms"),
        v => format!("{v:.2} ms"),
    }
}

/// So many attaches, in words.
pub(super) fn attaches(count: u64) -> String {
    match count {
        1 => "1 attach".to_owned(),
        _ => format!("{count} attaches"),
    }
}

/// So many of a thing, in words.
pub(super) fn several(count: u64, what: &str) -> String {
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
pub(super) fn word(judged: &Judged, verdict: Verdict) -> &'static str {
    match (judged.kept, verdict) {
        // Half a load keeps what a whole one doesn't.
        (Kept::Yes, Verdict::Interrupted) => "not broken so far",
        (kept, _) => kept.word(),
    }
}

/// The share that a failure has: of echoes where it is one of an echo, and else of `of`.
pub(super) fn share(failure: &str, count: u64, of: u64, result: &LoadResult) -> String {
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

/// The result in text.
pub fn summary(result: &LoadResult) -> String {
    let mut out = String::new();
    // Writing into memory doesn't fail.
    let _written = write(result, &mut out);
    out
}

fn write(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    let (load, counts) = (&result.load, &result.counts);
    let echo = load.echo_every.map_or("no echo".to_owned(), |every| {
        format!("an echo every {}", milliseconds(every as f64))
    });
    writeln!(
        out,
        "\n{} at {}, held {} s, {echo}: {}",
        attaches(load.attaches.into()),
        load.arrivals,
        load.hold as f64 / 1000.0,
        load.target
    )?;
    writeln!(
        out,
        "\n  attaches  {} attempted = {} opened + {} refused + {} failed; most open at once {}",
        counts.attempted, counts.opened, counts.refused, counts.failed, result.most_open
    )?;
    // Of a load that ended early, not all has come to its end.
    let rest = |all: u64, over: u64, what: &str| match all.saturating_sub(over) {
        0 => String::new(),
        rest => format!(", {rest} still {what}"),
    };
    writeln!(
        out,
        "            of those opened {} {} closed from here, {} lost before, {} stuck in closing{}",
        counts.closed,
        if counts.closed == 1 { "was" } else { "were" },
        counts.lost,
        counts.stuck,
        rest(counts.opened, counts.closed + counts.lost + counts.stuck, "open")
    )?;
    if load.echo_every.is_some() {
        writeln!(
            out,
            "  echoes    {} sent, {} answered, {} not{}",
            counts.echoes_sent,
            counts.echoes_answered,
            counts.echoes_unanswered,
            rest(
                counts.echoes_sent,
                counts.echoes_answered + counts.echoes_unanswered,
                "awaited"
            )
        )?;
    }
    if counts.probes > 0 {
        writeln!(
            out,
            "  probes    {} without the right token: {} refused with 401, {} opened, {} otherwise{}",
            attaches(counts.probes),
            counts.probes_refused,
            counts.probes_opened,
            counts.probes_otherwise,
            match counts.probes_cut {
                0 => String::new(),
                cut => format!(", {cut} cut off while the platform changed"),
            }
        )?;
    }
    if counts.unsettled > 0 {
        writeln!(
            out,
            "  meanwhile {} with the right token while the platform changed: {} opened, {} refused with 401, {} \
             otherwise",
            attaches(counts.unsettled),
            counts.unsettled_opened,
            counts.unsettled_refused,
            counts.unsettled_otherwise
        )?;
    }
    if let Some(fanned) = &result.fan_out {
        writeln!(out, "  fan-out   {}", fan_out(fanned))?;
    }
    if !result.latencies.is_empty() {
        let width = latencies(result).map(|(name, _)| name.len()).fold(NAME, usize::max);
        writeln!(
            out,
            "\n  {:<width$} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "count", "p50", "p90", "p99", "p99.9", "max"
        )?;
        for (name, latency) in latencies(result) {
            row(out, width, &name, latency)?;
        }
    }
    cost(result, out)?;
    failures(result, out)?;
    if let Some(side) = &result.http {
        http(side, out)?;
    }
    if !result.objectives.is_empty() {
        writeln!(out)?;
        for judged in &result.objectives {
            writeln!(
                out,
                "  {}  {}  ({})",
                word(judged, result.verdict),
                judged.objective,
                judged.found
            )?;
        }
    }
    writeln!(out, "\n{} in {:.1} s", result.verdict.word(), result.ended)?;
    for reason in &result.reasons {
        writeln!(out, "  {reason}")?;
    }
    Ok(())
}

/// Latencies with their names: those of the whole load, and of its steady part.
pub(super) fn latencies(result: &LoadResult) -> impl Iterator<Item = (String, &Latency)> {
    let steady = result
        .steady
        .iter()
        .map(|(name, latency)| (format!("steady {name}"), latency));
    let whole = result.latencies.iter().map(|(name, latency)| (name.clone(), latency));
    whole.chain(steady)
}

fn row(out: &mut String, width: usize, name: &str, latency: &Latency) -> std::fmt::Result {
    writeln!(
        out,
        "  {name:<width$} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        latency.count,
        milliseconds(latency.p50),
        milliseconds(latency.p90),
        milliseconds(latency.p99),
        milliseconds(latency.p999),
        milliseconds(latency.max)
    )
}

fn cost(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n  generator  {}", generator(result))?;
    if let Some(counted) = &result.platform {
        writeln!(out, "  platform   {}", platform(counted))?;
    }
    let Some(side) = &result.target_side else {
        return Ok(());
    };
    let lines = side.lines();
    let width = lines.iter().map(|(pod, _)| pod.len()).max().unwrap_or_default();
    writeln!(out, "\n  {PODS}: {}", side.what())?;
    for (pod, cost) in lines {
        let line = format!("    {pod:<width$}  {cost}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The outcome of a fan-out, in words.
pub(super) fn fan_out(fanned: &FannedOut) -> String {
    format!(
        "{} typed by one of them: {} of {} deliveries, {:.1} frames for each",
        several(fanned.typed, "key"),
        fanned.delivered,
        fanned.deliveries,
        fanned.frames_per_key
    )
}

/// What the generator cost, in words.
pub(super) fn generator(result: &LoadResult) -> String {
    let generator = &result.generator;
    let mut parts = vec![format!("lag p99 {}", milliseconds(generator.lag_p99))];
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
pub(super) fn platform(platform: &Platform) -> String {
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

fn failures(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    let counts = &result.counts;
    for (title, of, failures) in [
        (
            "failures, and their share of the attaches",
            counts.attempted,
            &result.failures,
        ),
        (
            "probes that met something else than 401",
            counts.probes,
            &result.probe_failures,
        ),
    ] {
        if failures.is_empty() {
            continue;
        }
        writeln!(out, "\n  {title}")?;
        for (failure, count) in failures {
            writeln!(
                out,
                "    {count:>7}  {failure}  ({})",
                share(failure, *count, of, result)
            )?;
        }
    }
    if result.examples.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  for example")?;
    for example in &result.examples {
        let local = example
            .local
            .as_ref()
            .map(|local| format!(" from {local}"))
            .unwrap_or_default();
        writeln!(
            out,
            "    at {:.3} s, attach {}{local}: {}",
            example.at, example.attach, example.failure
        )?;
        for line in example
            .said
            .iter()
            .flat_map(|said| said.lines())
            .filter(|line| !line.is_empty())
        {
            writeln!(out, "      | {line}")?;
        }
    }
    Ok(())
}

/// The HTTP side: its figures are of another model, and stand apart.
fn http(side: &HttpResult, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n  {TITLE}: {}", side.what())?;
    let line = |cells: [&str; COLUMNS.len()]| {
        let [name, numbers @ .., statuses] = cells;
        let numbers: String = numbers.iter().map(|number| format!(" {number:>10}")).collect();
        format!("    {name:<19}{numbers}  {statuses}")
    };
    if !side.requests.is_empty() {
        writeln!(out, "{}", line(COLUMNS))?;
    }
    for row in &side.rows() {
        writeln!(out, "{}", line(row.each_ref().map(String::as_str)).trim_end())?;
    }
    for (why, count) in side.failures() {
        writeln!(out, "    {count:>7}  {why}")?;
    }
    for example in &side.examples {
        writeln!(out, "    {}", example.text())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::sample;

    #[test]
    fn an_interrupted_load_has_things_under_way() {
        let mut result = sample::passed();
        let whole = summary(&result);
        assert!(!whole.contains("still"), "{whole}");
        assert!(whole.contains("\n  kept  errors == 0  (0)\n"), "{whole}");
        result.verdict = Verdict::Interrupted;
        result.counts.closed = 965;
        result.counts.lost = 3;
        result.counts.stuck = 2;
        result.counts.echoes_answered = 900;
        result.counts.echoes_unanswered = 4;
        let text = summary(&result);
        for part in [
            "of those opened 965 were closed from here, 3 lost before, 2 stuck in closing, 30 still open\n",
            "  echoes    1000 sent, 900 answered, 4 not, 96 still awaited\n",
            "\n  not broken so far  errors == 0  (0)\n",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn one_is_one() {
        let mut result = sample::measured([1000], []);
        result.counts.probes = 1;
        result.counts.probes_refused = 1;
        let text = summary(&result);
        for part in [
            "\n1 attach at 500/s, ",
            "of those opened 1 was closed from here, ",
            "  probes    1 attach without the right token: 1 refused with 401, ",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn what_came_while_the_platform_changed_stands_apart() {
        let mut result = sample::passed();
        assert!(!summary(&result).contains("meanwhile"));
        result.counts.unsettled = 5;
        result.counts.unsettled_opened = 3;
        result.counts.unsettled_refused = 2;
        result.counts.probes_cut = 1;
        let text = summary(&result);
        for part in [
            " otherwise, 1 cut off while the platform changed\n",
            "  meanwhile 5 attaches with the right token while the platform changed: 3 opened, 2 refused with 401, 0 \
             otherwise\n",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn what_came_to_all_has_a_line() {
        let mut result = sample::passed();
        result.fan_out = Some(FannedOut {
            typed: 20,
            frames_per_key: 50.5,
            deliveries: 1000,
            delivered: 999,
        });
        let line = "  fan-out   20 keys typed by one of them: 999 of 1000 deliveries, 50.5 frames for each\n";
        assert!(summary(&result).contains(line), "{}", summary(&result));
    }

    #[test]
    fn failures_of_echoes_are_a_share_of_echoes() {
        let mut result = sample::measured(sample::rising().take(10), sample::rising());
        result.counts.attempted = 10;
        result.failures.insert("timed out: echo".into(), 50);
        result.failures.insert("echo: another answer".into(), 10);
        result.failures.insert("timed out: upgrade".into(), 5);
        let text = summary(&result);
        for part in [
            " 50  timed out: echo  (5.0 % of the echoes)\n",
            " 10  echo: another answer  (1.0 % of the echoes)\n",
            " 5  timed out: upgrade  (50.0 %)\n",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
    }

    #[test]
    fn few_attaches_do_not_tell_what_one_takes() {
        let mut result = sample::passed();
        result.generator.bytes_per_attach = Some(20_000.0);
        for (open, said) in [(99, false), (100, true)] {
            result.most_open = open;
            assert_eq!(
                generator(&result).contains("20.00 KB for each that is held"),
                said,
                "{open}"
            );
        }
    }

    #[test]
    fn the_targets_pods_stand_behind_the_generator() {
        let text = summary(&sample::passed().with_target_side(Some(sample::target_side())));
        let part = "\n  Pods of the target: those of namespace agents with app in (web, worker)\n    \
                    web-1     2.5 s of processor, 51.0 MB at most, 3 processes, 1 RESTART\n    \
                    worker-1  no restart\n              \
                    node <a> did not answer\n";
        assert!(text.contains(part), "{text}");
    }

    #[test]
    fn the_http_side_stands_apart_with_its_model() {
        let text = summary(&sample::passed().with_http(sample::opened()));
        for part in [
            "\n  HTTP side (closed model): 5 users for 12.5 s, each waits for its answer: \
             http://127.0.0.1:4000/api/v1/managed_agents and http://127.0.0.1:8080/api/agents\n",
            "  200: 3, 401: 7\n",
            "    at 0.250 s, GET /api/agents/models with a JWT with a wrong signature, answered with 200: a shut door \
             opened\n",
            "\nFAILED in 12.5 s\n  HTTP side: a shut door opened 3 times, ",
        ] {
            assert!(text.contains(part), "{part}\nin\n{text}");
        }
        assert!(!summary(&sample::passed()).contains("HTTP side"));
    }
}
