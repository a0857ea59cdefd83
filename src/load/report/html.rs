//! A page to keep: it loads nothing, runs no script, and shows server output only as text.

use std::fmt::Write;

use super::chart::{Along, Chart, Line, NINES};
use super::{failures, plan, what};
use crate::load::cluster::TITLE as PODS;
use crate::load::http::{COLUMNS, HttpResult, TITLE};
use crate::load::metric::Metric;
use crate::load::metric::decode;
use crate::load::objective::Kept;
use crate::load::recorder::Second;
use crate::load::result::{LoadResult, Verdict};
use crate::load::summary::{generator, latencies, milliseconds, platform, share, word};
use crate::report::page::{STYLE, text};

const CHARTS: &str = include_str!("charts.css");

/// Points of a line of percentiles for each nine.
const EACH_NINE: u32 = 20;

pub fn render(result: &LoadResult) -> String {
    let mut page = String::new();
    // Writing into memory doesn't fail.
    let _written = write(result, &mut page);
    page
}

fn write(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    let (word, class) = (result.verdict.word(), class(result.verdict));
    // The policy holds even where something got past the escaping.
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>gauntlet load: {word}</title>\n<style>\n{STYLE}{CHARTS}</style>\n</head>\n<body>\n\
         <h1 class=\"{class}\">{word}</h1>\n<p>{}, in {:.1} s: {}</p>\n",
        text(&what(result)),
        result.ended,
        text(&result.load.target)
    )?;
    if !result.reasons.is_empty() {
        writeln!(out, "<ul>")?;
        for reason in &result.reasons {
            writeln!(out, "<li>{}</li>", text(reason))?;
        }
        writeln!(out, "</ul>")?;
    }
    objectives(result, out)?;
    writeln!(out, "<h2>Over time</h2>\n<div class=\"charts\">")?;
    for chart in charts(result) {
        out.push_str(&chart.draw());
    }
    writeln!(out, "</div>")?;
    if result.steady_part.is_some() {
        writeln!(
            out,
            "<p class=\"quiet\">Grey: the steady part, in which all were open.</p>"
        )?;
    }
    percentiles(result, out)?;
    table_of_latencies(result, out)?;
    counts(result, out)?;
    failed(result, out)?;
    if let Some(side) = &result.http {
        http(side, out)?;
    }
    let mut costs = vec![("generator", generator(result))];
    costs.extend(result.platform.as_ref().map(|counted| ("platform", platform(counted))));
    pairs("Cost", &costs, out)?;
    if let Some(side) = &result.target_side {
        pairs(PODS, &side.lines(), out)?;
        writeln!(out, "<p>{}</p>", text(&side.what()))?;
    }
    pairs("Plan", &plan(result), out)?;
    writeln!(out, "</body>\n</html>")
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Error => "error",
        Verdict::Interrupted => "interrupted",
    }
}

fn objectives(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    if result.objectives.is_empty() {
        return Ok(());
    }
    head("Objectives", &["objective", "", "found"], out)?;
    for judged in &result.objectives {
        let class = match judged.kept {
            Kept::Yes if result.verdict == Verdict::Interrupted => "error",
            Kept::Yes => "pass",
            Kept::No | Kept::NotEnoughSamples => "fail",
            Kept::CouldNotTell => "error",
        };
        writeln!(
            out,
            "<tr><td>{}</td><td class=\"{class}\">{}</td><td>{}</td></tr>",
            text(&judged.objective),
            word(judged, result.verdict),
            text(&judged.found)
        )?;
    }
    writeln!(out, "</table>")
}

/// The charts over time; of those without a value there is nothing to see.
fn charts(result: &LoadResult) -> Vec<Chart<'static>> {
    let seconds = &result.seconds;
    let chart = |title, unit, lines| Chart {
        title,
        unit,
        along: Along::Time,
        lines,
        steady: result.steady_part,
    };
    vec![
        chart(
            "Terminals",
            "open",
            vec![line(seconds, "open", |second| Some(second.open as f64))],
        ),
        chart(
            "Attaches and errors",
            "per second",
            vec![
                rate(seconds, "opened", |second| second.opened),
                rate(seconds, "errors", |second| second.errors),
            ],
        ),
        chart(
            "Attach",
            "ms",
            vec![
                line(seconds, "p50", |second| second.attach_p50),
                line(seconds, "p99", |second| second.attach_p99),
            ],
        ),
        chart(
            "Echo",
            "ms",
            vec![
                line(seconds, "p50", |second| second.echo_p50),
                line(seconds, "p99", |second| second.echo_p99),
            ],
        ),
        chart(
            "Lag of the generator",
            "ms",
            vec![line(seconds, "p99", |second| second.lag_p99)],
        ),
    ]
}

fn line(seconds: &[Second], name: &'static str, of: fn(&Second) -> Option<f64>) -> Line<'static> {
    Line {
        name,
        points: seconds.iter().map(|second| (second.at, of(second))).collect(),
    }
}

fn rate(seconds: &[Second], name: &'static str, of: fn(&Second) -> u64) -> Line<'static> {
    Line {
        name,
        points: rates(seconds, of),
    }
}

/// Counts for each second: rows need not be of a second's length, above all the last one.
fn rates(seconds: &[Second], of: fn(&Second) -> u64) -> Vec<(f64, Option<f64>)> {
    let mut before = 0.0;
    let mut rates = Vec::with_capacity(seconds.len());
    for second in seconds {
        let length = second.at - before;
        before = second.at;
        rates.push((second.at, (length > 0.0).then(|| of(second) as f64 / length)));
    }
    rates
}

fn percentiles(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    let lines: Vec<Line<'_>> = [Metric::Attach, Metric::Echo]
        .into_iter()
        .filter_map(|metric| {
            let points = nines(result.histograms.get(metric.name())?)?;
            Some(Line {
                name: metric.name(),
                points,
            })
        })
        .collect();
    let chart = Chart {
        title: "Attach and echo",
        unit: "ms",
        along: Along::Nines,
        lines,
        steady: None,
    };
    let drawn = chart.draw();
    if drawn.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Percentiles</h2>\n<div class=\"charts\">\n{drawn}</div>")
}

/// Values by the nines of their percentiles, as far as there is a sample beyond.
fn nines(histogram: &str) -> Option<Vec<(f64, Option<f64>)>> {
    let histogram = decode(histogram)?;
    let most = (histogram.len() as f64).log10().min(NINES);
    let points = (0..=NINES as u32 * EACH_NINE)
        .map(|number| f64::from(number) / f64::from(EACH_NINE))
        .take_while(|nines| *nines <= most)
        .map(|nines| {
            let quantile = 1.0 - 10f64.powf(-nines);
            (nines, Some(histogram.value_at_quantile(quantile) as f64 / 1000.0))
        });
    Some(points.collect())
}

fn table_of_latencies(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    if result.latencies.is_empty() {
        return Ok(());
    }
    let columns = [
        "", "count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max",
    ];
    head("Latencies", &columns, out)?;
    for (name, latency) in latencies(result) {
        let values = [
            latency.min,
            latency.mean,
            latency.p50,
            latency.p90,
            latency.p99,
            latency.p999,
            latency.p9999,
            latency.max,
        ];
        write!(out, "<tr><td>{}</td>", text(&name))?;
        write!(out, "<td class=\"number\">{}</td>", latency.count)?;
        for value in values {
            write!(out, "<td class=\"number\">{}</td>", milliseconds(value))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table>")
}

fn counts(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    let counts = &result.counts;
    head("Counts", &["", "count"], out)?;
    for (name, count) in [
        ("attaches attempted", counts.attempted),
        ("of these opened", counts.opened),
        ("of these refused", counts.refused),
        ("of these failed", counts.failed),
        ("most open at once", result.most_open),
        ("opened, and lost before they were closed from here", counts.lost),
        ("opened, and closed from here", counts.closed),
        ("opened, and stuck in closing", counts.stuck),
        ("echoes sent", counts.echoes_sent),
        ("of these answered", counts.echoes_answered),
        ("of these not answered", counts.echoes_unanswered),
        ("bytes received", counts.received_bytes),
        ("attaches without the right token", counts.probes),
        ("of these refused with 401", counts.probes_refused),
        ("of these opened", counts.probes_opened),
        ("of these anything else", counts.probes_otherwise),
        ("of these cut off while the platform changed", counts.probes_cut),
    ] {
        writeln!(out, "<tr><td>{name}</td><td class=\"number\">{count}</td></tr>")?;
    }
    writeln!(out, "</table>")
}

fn failed(result: &LoadResult, out: &mut String) -> std::fmt::Result {
    for (title, failures, of) in failures(result) {
        head(title, &["", "count", "share"], out)?;
        for (failure, count) in failures {
            writeln!(
                out,
                "<tr><td>{}</td><td class=\"number\">{count}</td><td class=\"number\">{}</td></tr>",
                text(failure),
                share(failure, *count, of, result)
            )?;
        }
        writeln!(out, "</table>")?;
    }
    if result.examples.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Examples</h2>")?;
    for example in &result.examples {
        let local = example.local.as_ref().map(|local| format!(" from {}", text(local)));
        writeln!(
            out,
            "<p>At {:.3} s, attach {}{}: {}</p>",
            example.at,
            text(&example.attach),
            local.unwrap_or_default(),
            text(&example.failure)
        )?;
        if let Some(said) = &example.said {
            writeln!(out, "<pre>{}</pre>", text(said.trim_end()))?;
        }
    }
    Ok(())
}

/// The HTTP side: its figures are of another model, and stand apart.
fn http(side: &HttpResult, out: &mut String) -> std::fmt::Result {
    head(TITLE, &COLUMNS, out)?;
    for row in side.rows() {
        let [name, numbers @ .., statuses] = &row;
        write!(out, "<tr><td>{}</td>", text(name))?;
        for number in numbers {
            write!(out, "<td class=\"number\">{}</td>", text(number))?;
        }
        writeln!(out, "<td class=\"number\">{}</td></tr>", text(statuses))?;
    }
    writeln!(out, "</table>\n<p>{}</p>", text(&side.what()))?;
    let failures = side.failures();
    if !failures.is_empty() {
        head("Failures of the HTTP side", &["", "count"], out)?;
        for (why, count) in failures {
            writeln!(out, "<tr><td>{}</td><td class=\"number\">{count}</td></tr>", text(&why))?;
        }
        writeln!(out, "</table>")?;
    }
    for example in &side.examples {
        writeln!(out, "<p>{}</p>", text(&example.text()))?;
    }
    Ok(())
}

/// The beginning of a table. All columns but the first one, and those of texts, are of numbers.
fn head(title: &str, columns: &[&str], out: &mut String) -> std::fmt::Result {
    write!(out, "<h2>{title}</h2>\n<table>\n<tr>")?;
    for (index, column) in columns.iter().enumerate() {
        match index > 0 && *column != "found" {
            true => write!(out, "<th class=\"number\">{column}</th>")?,
            false => write!(out, "<th>{column}</th>")?,
        }
    }
    writeln!(out, "</tr>")
}

fn pairs(title: &str, pairs: &[(&str, String)], out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>{title}</h2>\n<table>")?;
    for (name, value) in pairs {
        writeln!(out, "<tr><th>{}</th><td>{}</td></tr>", text(name), text(value))?;
    }
    writeln!(out, "</table>")
}

#[cfg(test)]
mod tests;
