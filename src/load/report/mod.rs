//! Reports of a finished load: one module for each format.

mod chart;
mod html;
mod junit;
mod markdown;

use std::collections::BTreeMap;

use super::model::is_closed;
use super::result::LoadResult;
use super::summary::{attaches, begins, echoes};
use crate::redact::Redactor;
use crate::report::{Formats, Spec};

/// How a report of a load is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadFormat {
    /// A page with charts, to keep.
    Html,
    /// For a CI summary or a comment.
    Markdown,
    /// JUnit XML, for CI servers.
    Junit,
}

/// A report of a load that was asked for.
pub type LoadReportSpec = Spec<LoadFormat>;

impl LoadFormat {
    /// The file that it goes to unless told otherwise.
    pub fn file_name(self) -> &'static str {
        match self {
            LoadFormat::Html => "load.html",
            LoadFormat::Markdown => "load.md",
            LoadFormat::Junit => "load-junit.xml",
        }
    }
}

impl Formats for LoadFormat {
    const KNOWN: &'static [LoadFormat] = &[LoadFormat::Html, LoadFormat::Markdown, LoadFormat::Junit];

    const ALSO: &'static [(&'static str, LoadFormat)] = &[
        ("htm", LoadFormat::Html),
        ("md", LoadFormat::Markdown),
        ("xml", LoadFormat::Junit),
    ];

    fn name(self) -> &'static str {
        match self {
            LoadFormat::Html => "html",
            LoadFormat::Markdown => "markdown",
            LoadFormat::Junit => "junit",
        }
    }

    fn own_place(self) -> String {
        format!("{} in the current folder", self.file_name())
    }
}

/// A format that can't hold a result: no text of a result should make that happen, so it is gauntlet's own fault.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RenderError(#[from] quick_junit::SerializeError);

/// The report of a result as text, without a secret.
///
/// # Errors
/// The format can't hold it.
pub fn render(format: LoadFormat, result: &LoadResult, redactor: &Redactor) -> Result<String, RenderError> {
    // Before, as an escaped secret is none that the redactor knows; and after, for what came to stand side by side.
    let result = redacted(result, redactor);
    let text = match format {
        LoadFormat::Html => html::render(&result),
        LoadFormat::Markdown => markdown::render(&result),
        LoadFormat::Junit => junit::render(&result)?,
    };
    Ok(redactor.redact(&text).into_owned())
}

/// The result with no secret in any of its texts.
fn redacted(result: &LoadResult, redactor: &Redactor) -> LoadResult {
    let clean = |text: &mut String| *text = redactor.redact(text).into_owned();
    let counted = |counts: &BTreeMap<String, u64>| {
        let mut cleaned: BTreeMap<String, u64> = BTreeMap::new();
        for (name, count) in counts {
            *cleaned.entry(redactor.redact(name).into_owned()).or_default() += count;
        }
        cleaned
    };
    let mut result = result.clone();
    clean(&mut result.load.target);
    result.reasons.iter_mut().for_each(clean);
    for judged in &mut result.objectives {
        clean(&mut judged.objective);
        clean(&mut judged.found);
    }
    result.failures = counted(&result.failures);
    result.probe_failures = counted(&result.probe_failures);
    for example in &mut result.examples {
        clean(&mut example.failure);
        clean(&mut example.attach);
        example.local.iter_mut().chain(&mut example.said).for_each(clean);
    }
    if let Some(side) = &mut result.target_side {
        side.notes.iter_mut().for_each(clean);
    }
    if let Some(http) = &mut result.http {
        let places = http.api.iter_mut().chain(&mut http.models);
        places
            .chain(&mut http.lost)
            .chain(&mut http.left)
            .chain(&mut http.notes)
            .for_each(clean);
        for requests in http.requests.values_mut() {
            requests.failures = counted(&requests.failures);
        }
        for example in &mut http.examples {
            clean(&mut example.place);
            clean(&mut example.what);
        }
    }
    result
}

/// What was asked for, so that it can be asked for again: each with its flag, where it has one.
fn plan(result: &LoadResult) -> Vec<(&'static str, String)> {
    let load = &result.load;
    let every = |every: Option<u64>| every.map_or("never".to_owned(), duration);
    let (begins, echo) = match is_closed(&load.model) {
        true => (
            ("closed model (--model, --concurrency)", load.arrivals.clone()),
            "an echo after each answer (--echo-every)",
        ),
        false => (
            ("arrivals (--ramp)", load.arrivals.clone()),
            "an echo each (--echo-every)",
        ),
    };
    vec![
        ("target", load.target.clone()),
        ("attaches (-n)", load.attaches.to_string()),
        begins,
        ("held (--hold)", duration(load.hold)),
        (echo, every(load.echo_every)),
        ("a probe each (--probe-every)", every(load.probe_every)),
        ("longest phase (--deadline)", duration(load.deadline)),
        ("seed (--seed)", load.seed.to_string()),
        ("gauntlet", version(result)),
        ("started", result.started.clone()),
    ]
}

/// gauntlet's own.
pub(super) fn version(result: &LoadResult) -> String {
    let commit = result.gauntlet.commit.as_ref();
    let commit = commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
    format!("{}{commit}", result.gauntlet.version)
}

/// Milliseconds as a flag takes them.
fn duration(milliseconds: u64) -> String {
    match milliseconds % 1000 {
        0 => format!("{}s", milliseconds / 1000),
        _ => format!("{milliseconds}ms"),
    }
}

/// What was loaded, in a line.
pub(super) fn what(result: &LoadResult) -> String {
    let load = &result.load;
    format!(
        "{}{}, held {}, {}",
        attaches(load.attaches.into()),
        begins(load),
        duration(load.hold),
        echoes(load, duration)
    )
}

/// The failures with their shares, and what they are shares of.
fn failures(result: &LoadResult) -> Vec<(&'static str, &BTreeMap<String, u64>, u64)> {
    let counts = &result.counts;
    let all = [
        ("Failures", &result.failures, counts.attempted),
        (
            "Without the right token, and not 401",
            &result.probe_failures,
            counts.probes,
        ),
    ];
    all.into_iter()
        .filter(|(_, failures, _)| !failures.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::sample;

    #[test]
    fn formats_and_files() {
        let parse = |text: &str| match text.parse::<LoadReportSpec>() {
            Ok(spec) => spec.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(parse("html"), "html");
        assert_eq!(parse("junit=/dev/stdout"), "junit=-");
        insta::assert_snapshot!(parse("md"), @"error: there is no report format `md`; did you mean `markdown`? (there are html, markdown, junit)");
        insta::assert_snapshot!(parse("html="), @"error: `html=` names no file; leave the `=` out for load.html in the current folder");
    }

    /// One that would look otherwise once it is escaped, too.
    #[test]
    fn no_report_tells_a_secret() {
        let redactor = Redactor::new();
        for (secret, value) in [("PLAIN", "0123456789abcdef"), ("ODD", "a<b&c\"d|e'f_g")] {
            redactor.add(secret, value).expect("a secret");
            let mut result = sample::failed();
            result.examples[0].said = Some(format!("token {value}"));
            result.failures.insert(format!("closed {value}"), 1);
            result.reasons.push(format!("because {value}"));
            let mut http = sample::opened();
            http.lost = Some(format!("lost with {value}"));
            http.examples[0].what = format!("said {value}");
            http.left.push(value.into());
            for requests in http.requests.values_mut() {
                requests.failures.insert(format!("refused {value}"), 1);
            }
            let result = result.with_http(http);
            for format in LoadFormat::KNOWN {
                let text = render(*format, &result, &redactor).expect("a report");
                assert!(text.contains(secret), "{format:?}: {text}");
                for part in [value, "a&lt;b", "c&quot;d"] {
                    assert!(!text.contains(part), "{format:?}: {text}");
                }
            }
        }
    }

    #[test]
    fn every_report_names_the_closed_model() {
        let render =
            |format: LoadFormat, result: &LoadResult| render(format, result, &Redactor::new()).expect("a report");
        for (format, parts) in [
            (
                LoadFormat::Html,
                &[
                    "10 at once (closed model), held 10s, an echo 1500ms after each answer",
                    "<p>closed model: the next attach or echo begins only after an answer",
                    "<h2>Latencies (closed model)</h2>",
                    "<h2>Percentiles (closed model)</h2>",
                ][..],
            ),
            (
                LoadFormat::Markdown,
                &[
                    "10 at once (closed model), held 10s, ",
                    "| latency (closed model) | count |",
                    "Generator: no schedule, and so no lag\n",
                    "closed model (--model, --concurrency): 10 at once, ",
                ],
            ),
            (
                LoadFormat::Junit,
                &[
                    "<property name=\"closed model\" value=\"10 at once\"/>",
                    "10 at once (closed model)",
                ],
            ),
        ] {
            let text = render(format, &sample::closed());
            for part in parts {
                assert!(text.contains(part), "{part}\nin\n{text}");
            }
            assert!(
                !render(format, &sample::passed()).contains("closed model"),
                "{format:?}"
            );
        }
    }

    #[test]
    fn durations_are_those_of_flags() {
        assert_eq!((duration(10_000), duration(1500)), ("10s".into(), "1500ms".into()));
    }
}
