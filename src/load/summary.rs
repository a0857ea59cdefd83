//! Console output of a load: a line for each second, and the result at the end.

mod words;

use std::fmt::Write;

use super::cluster::TITLE as PODS;
use super::http::{COLUMNS, HttpResult, TITLE};
use super::recorder::Second;
use super::result::{Latency, LoadResult};
use crate::report::{cut, printable};

pub use words::times;
pub(super) use words::{
    attaches, begins, closed, echoes, fan_out, generator, milliseconds, platform, several, share, titled, word,
};

/// Columns of a latency's name, at least.
const NAME: usize = 14;

/// Characters of what a server said that are shown; the result as JSON has more of it.
const SAID: usize = 200;

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

/// The result in text.
pub fn summary(result: &LoadResult) -> String {
    let mut out = String::new();
    // Writing into memory doesn't fail.
    let _written = write(result, &mut out);
    out
}

fn write(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    let (load, counts) = (&result.load, &result.counts);
    let echo = echoes(load, |every| milliseconds(every as f64));
    writeln!(
        out,
        "\n{}{}, held {} s, {echo}: {}",
        attaches(load.attaches.into()),
        begins(load),
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
        if let Some(closed) = closed(result) {
            writeln!(out, "\n  {closed}")?;
        }
        writeln!(
            out,
            "\n  {:<width$} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            titled("", result),
            "count",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max"
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

fn failures(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    let counts = &result.counts;
    for (title, of, failures) in [
        (
            "failures, and their share of the attaches",
            counts.attempted,
            &result.failures,
        ),
        (
            "probes that met something other than 401",
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
        let said = printable(example.said.as_deref().unwrap_or_default());
        for line in cut(&said, SAID).lines().filter(|line| !line.is_empty()) {
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
mod tests;
