//! A page to keep: it loads nothing, and what the platform said stands in it as text.
//!
//! A few lines of its own script filter the verdicts; without them the page is whole all the same.

use std::fmt::Write;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::collect::Run;
use super::evidence::evidence_paths;
use super::page::{STYLE, text};
use super::roads::{self, Compared};
use super::text::{pointed, seconds};
use super::words::{self, Outcome};
use crate::events::{CheckResult, FactResult, RunInfo, RunOf, RunVerdict, ScenarioResult};

const OWN_STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("filter.js");

/// Characters of a scenario's line that are shown.
const WIDTH: usize = 110;

/// The report of a run as text.
pub(super) fn render(run: &Run, evidence: &Path) -> io::Result<String> {
    let mut page = String::new();
    write(run, evidence, &mut page).map_err(io::Error::other)?;
    Ok(page)
}

fn write(run: &Run, evidence: &Path, out: &mut String) -> std::fmt::Result {
    let Run { info, result, .. } = run;
    let (verdict, class) = (words::verdict(result.verdict), class_of_run(result.verdict));
    let style = format!("\n{STYLE}{OWN_STYLE}");
    let script = format!("\n{SCRIPT}");
    // The policy holds even where something got past the escaping: only this very script runs.
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src '{}'; script-src '{}'; \
         base-uri 'none'; form-action 'none'\"/>\n\
         <meta name=\"referrer\" content=\"no-referrer\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>gauntlet: {verdict}</title>\n<style>{style}</style>\n</head>\n<body>\n\
         <h1 class=\"{class}\">{verdict}</h1>\n<p>{}</p>\n<p>{} in {}</p>\n",
        source(&style),
        source(&script),
        text(&words::meaning(result, info.scenarios)),
        words::counts(&result.summary),
        seconds(result.duration),
    )?;
    if !result.notes.is_empty() {
        writeln!(out, "<ul>")?;
        for note in &result.notes {
            writeln!(out, "<li>{}</li>", text(note))?;
        }
        writeln!(out, "</ul>")?;
    }
    about(info, out)?;
    verdicts(run, out)?;
    if run.scenarios.iter().any(|result| Outcome::of(result).is_bad()) {
        writeln!(out, "<h2>Failures</h2>")?;
    }
    for (number, result) in run.scenarios.iter().enumerate() {
        if Outcome::of(result).is_bad() {
            failure(number, result, evidence, out)?;
        }
    }
    let (compared, alone) = roads::compare(run.scenarios.iter().map(AsRef::as_ref));
    side_by_side(&compared, out)?;
    facts(&alone, out)?;
    writeln!(out, "<script>{script}</script>\n</body>\n</html>")
}

/// What a policy calls an inline text: its digest.
fn source(inline: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inline.as_bytes())))
}

fn class_of_run(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Passed => "pass",
        RunVerdict::Failed => "fail",
        RunVerdict::Error | RunVerdict::NothingRan | RunVerdict::Partial => "error",
        RunVerdict::Interrupted => "interrupted",
    }
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail | Outcome::UnexpectedPass | Outcome::Flaky => "fail",
        Outcome::Error => "error",
        Outcome::Interrupted => "interrupted",
        Outcome::Skip => "skip",
        Outcome::ExpectedFailure | Outcome::ToleratedFlaky => "expected",
    }
}

fn about(info: &RunInfo, out: &mut String) -> std::fmt::Result {
    let commit = info.commit.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
    let selection = match info.selection.as_slice() {
        [] => "everything".to_owned(),
        selectors => selectors.join(" "),
    };
    let mut pairs = vec![
        ("gauntlet", format!("{}{commit}", info.version)),
        ("target", info.target.clone()),
        ("level", info.level.clone()),
        ("selected", selection),
        ("seed", info.seed.to_string()),
        ("started", info.started.clone()),
    ];
    pairs.extend(info.profile_digest.clone().map(|digest| ("profile", digest)));
    if !info.mutants.is_empty() {
        pairs.push(("mutants", info.mutants.join(" ")));
    }
    writeln!(out, "<details>\n<summary>About this run</summary>\n<table>")?;
    for (name, value) in pairs {
        row(name, &text(&value), out)?;
    }
    writeln!(out, "</table>\n</details>")
}

/// A row of a name and what is HTML already.
fn row(name: &str, value: &str, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<tr><th>{name}</th><td>{value}</td></tr>")
}

/// All runs with their verdicts, and what they are filtered by.
fn verdicts(run: &Run, out: &mut String) -> std::fmt::Result {
    if run.scenarios.is_empty() {
        return Ok(());
    }
    let outcomes: Vec<Outcome> = run.scenarios.iter().map(|result| Outcome::of(result)).collect();
    writeln!(
        out,
        "<h2>Verdicts</h2>\n<div class=\"filter\" id=\"filter\" hidden=\"\">\n\
         <input type=\"search\" id=\"search\" placeholder=\"search\" aria-label=\"search\"/>"
    )?;
    for outcome in Outcome::ALL.into_iter().filter(|outcome| outcomes.contains(outcome)) {
        let count = outcomes.iter().filter(|other| **other == outcome).count();
        let word = outcome.word();
        writeln!(
            out,
            "<label><input type=\"checkbox\" value=\"{word}\" checked=\"\"/> {word} ({count})</label>"
        )?;
    }
    writeln!(
        out,
        "<output id=\"shown\"></output>\n</div>\n<table>\n<thead><tr><th>verdict</th><th>scenario</th>\
         <th class=\"number\">time</th></tr></thead>\n<tbody>"
    )?;
    let mut rows: Vec<_> = run.scenarios.iter().zip(outcomes).enumerate().collect();
    // What has to be looked at stands above.
    rows.sort_by_key(|(_, (_, outcome))| !outcome.is_bad());
    for (number, (result, outcome)) in rows {
        let (word, class) = (outcome.word(), class(outcome));
        let name = text(&result.run.to_string());
        let name = match outcome.is_bad() {
            true => format!("<a href=\"#r{number}\">{name}</a>"),
            false => name,
        };
        let reason = words::reason(result).map(|reason| format!("<p class=\"quiet\">{}</p>", text(&reason)));
        writeln!(
            out,
            "<tr data-verdict=\"{word}\"><td class=\"{class}\">{word}</td><td><p>{name}</p><p>{}</p>{}</td>\
             <td class=\"number\">{}</td></tr>",
            text(&result.title),
            reason.unwrap_or_default(),
            seconds(result.duration)
        )?;
    }
    writeln!(out, "</tbody>\n</table>")
}

fn failure(number: usize, result: &ScenarioResult, folder: &Path, out: &mut String) -> std::fmt::Result {
    let outcome = Outcome::of(result);
    let (word, class) = (outcome.word(), class(outcome));
    writeln!(
        out,
        "<details id=\"r{number}\" data-verdict=\"{word}\" open=\"\">\n<summary><strong class=\"{class}\">{word}</strong> \
         <code>{}</code></summary>\n<p>{}</p>",
        text(&result.run.to_string()),
        text(&result.title)
    )?;
    if !result.spec.is_empty() {
        writeln!(out, "<p class=\"quiet\">Rule from: {}</p>", text(&result.spec))?;
    }
    let (reason, bad) = words::story(result);
    if let Some(reason) = reason {
        writeln!(out, "<p>{}</p>", text(&reason))?;
    }
    for check in bad {
        explain(check, out)?;
    }
    for (evidence, path) in result.evidence.iter().zip(evidence_paths(folder, result)) {
        // Who looks at a failure looks at what went over the wire first.
        let open = match evidence.title.starts_with("wire transcript") {
            true => " open=\"\"",
            false => "",
        };
        writeln!(
            out,
            "<details{open}>\n<summary>Evidence: {}, <code>{}</code></summary>\n<pre>{}</pre>\n</details>",
            text(&evidence.title),
            text(&path.display().to_string()),
            text(evidence.text.trim_end())
        )?;
    }
    if !result.reproduce.is_empty() {
        let commands = text(&result.reproduce.join("\n"));
        writeln!(out, "<p>To see it again, paste:</p>\n<pre>{commands}</pre>")?;
    }
    writeln!(out, "</details>")
}

fn explain(check: &CheckResult, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<table>")?;
    row("step", &text(&check.what), out)?;
    row("expected", &text(&check.expected), out)?;
    row("got", &text(&check.got), out)?;
    if let Some(reason) = &check.reason {
        row("because", &text(reason), out)?;
    }
    let place = format!("{}:{}", check.at.file, check.at.line);
    row("in", &format!("<code>{}</code>", text(&place)), out)?;
    writeln!(out, "</table>")?;
    // A report that is read back has no lines of scenarios.
    if check.at.text.is_empty() {
        return Ok(());
    }
    let (line, caret) = pointed(&check.at.text, check.at.column, WIDTH);
    let number = check.at.line.to_string();
    let margin = number.len();
    write!(out, "<pre>")?;
    for (back, line) in check.at.before.iter().rev().enumerate().rev() {
        let number = u32::try_from(back + 1).map_or(0, |back| check.at.line.saturating_sub(back));
        writeln!(out, "{number:margin$} | {}", text(line))?;
    }
    writeln!(out, "{number} | {}\n{:margin$} | {caret}</pre>", text(&line), "")
}

/// All that was asked on several roads; where these differ the row is marked.
fn side_by_side(compared: &Compared, out: &mut String) -> std::fmt::Result {
    if compared.rows.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Roads</h2>\n<p class=\"quiet\">Observed, not judged; rows in bold differ.</p>\n<table class=\"facts\">"
    )?;
    write!(out, "<tr><th>request</th>")?;
    for road in &compared.roads {
        write!(out, "<th>{}</th>", text(road))?;
    }
    writeln!(out, "<th>scenario</th></tr>")?;
    for line in &compared.rows {
        let class = if line.differs() { " class=\"differs\"" } else { "" };
        write!(out, "<tr{class}><td>{}</td>", text(&line.fact))?;
        for seen in &line.seen {
            write!(out, "<td>{}</td>", seen.as_deref().map_or("–".to_owned(), text))?;
        }
        writeln!(out, "<td>{}</td></tr>", text(&line.scenario))?;
    }
    writeln!(out, "</table>")
}

fn facts(facts: &[(&RunOf, &FactResult)], out: &mut String) -> std::fmt::Result {
    if facts.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Facts</h2>\n<p class=\"quiet\">Observed, not judged.</p>\n<table class=\"facts\">\n\
         <tr><th>fact</th><th>value</th><th>scenario</th></tr>"
    )?;
    for (run, fact) in facts {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            text(&fact.name),
            text(&roads::value(fact)),
            text(&run.to_string())
        )?;
    }
    writeln!(out, "</table>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::file::written;
    use crate::report::sample;

    #[test]
    fn the_verdict_is_above_all_and_everything_below() {
        let page = written(render, &sample::failing());
        let parts = [
            "<h1 class=\"fail\">FAILED</h1>",
            "<p>3 passed, 3 failed, 1 error, 1 skipped, 1 expected failure in 31.234s</p>",
            "<tr><th>selected</th><td>harness-token/**</td></tr>",
            "<label><input type=\"checkbox\" value=\"FAIL\" checked=\"\"/> FAIL (2)</label>",
            "<a href=\"#r8\">harness-token/warm/stale</a>",
            "<tr data-verdict=\"SKIP\"><td class=\"skip\">SKIP</td><td><p>agent-service/jwt/rotate</p>",
            "<h2>Failures</h2>",
            "<details id=\"r1\" data-verdict=\"ERROR\" open=\"\">",
            "<tr><th>got</th><td>0 of 1 pods ready: ImagePullBackOff</td></tr>",
            "<details id=\"r8\" data-verdict=\"FAIL\" open=\"\">",
            "Rule from: litellm-agent-platform, HARNESS_AUTH_TOKEN, &quot;Bootstrap&quot;",
            "<tr><th>expected</th><td>refused 401</td></tr>",
            "<pre>13 |   - step: before it\n14 |     check: refused 401\n   |     ^^^^^^^^^^^^^^^^^^</pre>",
            "evidence/harness-token__warm__stale/wire.txt</code></summary>\n<pre>&gt; GET /tty?token=$HARNESS_AUTH_TOKEN",
            "<p>To see it again, paste:</p>",
            "<h2>Roads</h2>",
            "<tr class=\"differs\"><td>token.precedence</td>",
            "</html>\n",
        ];
        let mut at = 0;
        for part in parts {
            let found = page[at..].find(part);
            at += found.unwrap_or_else(|| panic!("{part}\nis not in, or not behind the others in\n{page}"));
        }
    }

    #[test]
    fn what_a_platform_says_is_text() {
        let hostile = "\"'></pre><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J";
        let page = written(render, &sample::with_text(hostile));
        assert_eq!(page.matches("<script").count(), 1, "{page}");
        for live in ["<img", "\"'>", "\u{202e}", "\u{1b}"] {
            assert!(!page.contains(live), "{live}: {page}");
        }
        // The title twice, the note, the reason twice, what was got, and more.
        assert!(
            page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() >= 12,
            "{page}"
        );
    }

    #[test]
    fn only_its_own_script_and_style_are_let() {
        let page = written(render, &sample::one_failure());
        let between = |start: &str, end: &str| {
            let (_, rest) = page.split_once(start).unwrap();
            rest.split_once(end).unwrap().0
        };
        for (tag, end, directive) in [
            ("<script>", "</script>", "script-src"),
            ("<style>", "</style>", "style-src"),
        ] {
            let digest = STANDARD.encode(Sha256::digest(between(tag, end).as_bytes()));
            let allowed = format!("{directive} 'sha256-{digest}';");
            assert!(page.contains(&allowed), "{allowed}: {page}");
        }
        assert!(
            page.contains("default-src 'none'; ") && !page.contains("unsafe"),
            "{page}"
        );
        // An attribute of style would be refused by the policy.
        assert!(!page.contains(" style=\""), "{page}");
    }

    #[test]
    fn a_run_of_nothing_or_that_broke_off_has_a_page() {
        for (events, verdict) in [
            (sample::broken_off(), "COULD NOT TELL"),
            (sample::interrupted(), "INTERRUPTED"),
            (sample::partial(), "PARTIAL"),
        ] {
            let page = written(render, &events);
            assert!(page.contains(&format!("<title>gauntlet: {verdict}</title>")), "{page}");
        }
    }
}
