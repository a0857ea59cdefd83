//! Markdown, for a CI summary or a comment on a change.

use std::io;
use std::path::Path;

use indexmap::IndexMap;

use super::collect::Run;
use super::evidence::evidence_paths;
use super::junit::group;
use super::roads::{self, Compared};
use super::text::{last_lines, one_line, printable, seconds};
use super::words::{self, Outcome};
use crate::events::{CheckResult, FactResult, RunOf, ScenarioResult};

/// Lines shown of a piece of evidence.
const EXCERPT: usize = 20;

/// The report of a run as text.
pub(super) fn render(run: &Run, evidence: &Path) -> io::Result<String> {
    Ok(document(run, evidence))
}

/// The verdict and the counts of a run, where there is no place for more.
pub(super) fn brief(run: &Run) -> String {
    let more = "There is no place here for the failures: `--report markdown` and the log have them.\n";
    head(run) + more
}

/// The verdict, what it means, and the counts of each group.
fn head(run: &Run) -> String {
    let Run {
        info,
        scenarios,
        result,
    } = run;
    let mut text = format!(
        "# gauntlet: {}\n\n{}: {}\n\n{} in {}\n\n",
        words::verdict(result.verdict),
        words::verdict(result.verdict),
        escape(&words::meaning(result, info.scenarios)),
        words::counts(&result.summary),
        seconds(result.duration),
    );
    for note in &result.notes {
        text += &format!("- {}\n", escape(note));
    }
    if !result.notes.is_empty() {
        text.push('\n');
    }
    text + &groups(scenarios.iter().map(AsRef::as_ref))
}

fn document(run: &Run, evidence: &Path) -> String {
    let info = &run.info;
    let mut text = head(run);
    let bad: Vec<&ScenarioResult> = with(run, |o| o.is_bad()).collect();
    if !bad.is_empty() {
        text += "## Failures\n\n";
        for scenario in bad {
            text += &failure(scenario, evidence);
        }
    }
    text += &reasons("Interrupted", with(run, |o| o == Outcome::Interrupted));
    text += &reasons("Skipped", with(run, |o| o == Outcome::Skip));
    text += &reasons("Expected failures", with(run, |o| o == Outcome::ExpectedFailure));
    text += &reasons("Flaky", with(run, |o| o == Outcome::ToleratedFlaky));
    text += &facts(run);
    let commit = info.commit.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
    let selection = match info.selection.as_slice() {
        [] => "everything".to_owned(),
        selectors => code(&selectors.join(" ")),
    };
    let profile = match &info.profile_digest {
        Some(digest) => format!(", profile {}", code(digest)),
        None => String::new(),
    };
    text += &format!(
        "<sub>gauntlet {}{commit}, target {}, level {}, selected {selection}, seed {}{profile}, \
         started {}</sub>\n",
        info.version,
        escape(&info.target),
        info.level,
        info.seed,
        info.started
    );
    text
}

fn with(run: &Run, wanted: impl Fn(Outcome) -> bool) -> impl Iterator<Item = &ScenarioResult> {
    run.scenarios
        .iter()
        .map(AsRef::as_ref)
        .filter(move |s| wanted(Outcome::of(s)))
}

fn groups<'s>(scenarios: impl Iterator<Item = &'s ScenarioResult>) -> String {
    let mut groups: IndexMap<&str, [usize; 7]> = IndexMap::new();
    for scenario in scenarios {
        let column = match Outcome::of(scenario) {
            Outcome::Pass => 0,
            Outcome::Fail | Outcome::UnexpectedPass => 1,
            Outcome::Error => 2,
            Outcome::Skip => 3,
            Outcome::ExpectedFailure => 4,
            Outcome::Interrupted => 5,
            Outcome::Flaky | Outcome::ToleratedFlaky => 6,
        };
        groups.entry(group(&scenario.run.id)).or_default()[column] += 1;
    }
    if groups.is_empty() {
        return String::new();
    }
    // Most runs come to their end.
    let rare: Vec<(usize, &str)> = [(5, "interrupted"), (6, "flaky")]
        .into_iter()
        .filter(|(column, _)| groups.values().any(|counts| counts[*column] > 0))
        .collect();
    let head: String = rare.iter().map(|(_, name)| format!(" {name} |")).collect();
    let line = "--:|".repeat(rare.len());
    let mut text = format!(
        "| group | passed | failed | errors | skipped | expected failures |{head}\n\
         |---|--:|--:|--:|--:|--:|{line}\n",
    );
    for (name, counts) in groups {
        let [pass, fail, error, skip, expected, ..] = counts;
        let bold = |n: usize| match n {
            0 => "0".to_owned(),
            n => format!("**{n}**"),
        };
        text += &format!(
            "| {} | {pass} | {} | {} | {skip} | {expected} |{}\n",
            cell(name),
            bold(fail),
            bold(error),
            rare.iter()
                .map(|(column, _)| format!(" {} |", counts[*column]))
                .collect::<String>(),
        );
    }
    text + "\n"
}

fn failure(result: &ScenarioResult, folder: &Path) -> String {
    let mut text = format!(
        "<details>\n<summary>{} <code>{}</code>: {}</summary>\n\n",
        Outcome::of(result).word(),
        html(&result.run.to_string()),
        html(&result.title)
    );
    if !result.spec.is_empty() {
        text += &format!("Rule from: {}\n\n", escape(&result.spec));
    }
    let (reason, bad) = words::story(result);
    if let Some(reason) = reason {
        text += &format!("{}\n\n", escape(&reason));
    }
    for check in bad {
        text += &fence("text", &explain(check));
    }
    for (evidence, path) in result.evidence.iter().zip(evidence_paths(folder, result)) {
        let path = path.display().to_string();
        text += &format!("Evidence: {}, {}\n\n", escape(&evidence.title), code(&path));
        let (left_out, lines) = last_lines(evidence.text.trim_end(), EXCERPT);
        if lines.is_empty() {
            continue;
        }
        let mut excerpt = lines.join("\n");
        if left_out > 0 {
            excerpt = format!("… {left_out} lines before\n{excerpt}");
        }
        text += &fence("text", &excerpt);
    }
    if !result.reproduce.is_empty() {
        text += "To see it again:\n\n";
        text += &fence("sh", &result.reproduce.join("\n"));
    }
    text + "</details>\n\n"
}

fn explain(check: &CheckResult) -> String {
    let indented = |text: &str| printable(text).trim_end().replace('\n', "\n          ");
    let mut text = format!(
        "step      {}\nexpected  {}\ngot       {}\n",
        indented(&check.what),
        indented(&check.expected),
        indented(&check.got)
    );
    if let Some(reason) = &check.reason {
        text += &format!("because   {}\n", indented(reason));
    }
    text += &format!(
        "in        {}:{}\n          {}",
        check.at.file,
        check.at.line,
        one_line(&check.at.text)
    );
    text
}

fn reasons<'s>(title: &str, scenarios: impl Iterator<Item = &'s ScenarioResult>) -> String {
    let rows: Vec<String> = scenarios
        .map(|s| {
            let reason = words::reason(s).unwrap_or_default();
            format!("| {} | {} |\n", cell(&s.run.to_string()), escape(&reason))
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<details>\n<summary>{title} ({})</summary>\n\n| scenario | reason |\n|---|---|\n{}\n</details>\n\n",
        rows.len(),
        rows.concat()
    )
}

fn facts(run: &Run) -> String {
    let (compared, alone) = roads::compare(run.scenarios.iter().map(AsRef::as_ref));
    side_by_side(&compared) + &list(&alone)
}

/// All that was asked on several roads; where these differ the row is marked.
fn side_by_side(compared: &Compared) -> String {
    if compared.rows.is_empty() {
        return String::new();
    }
    let heads: String = compared.roads.iter().map(|road| format!(" {} |", cell(road))).collect();
    let lines = "---|".repeat(compared.roads.len());
    let mut text = format!("## Roads\n\nObserved, not judged.\n\n| request |{heads} scenario |\n|---|{lines}---|\n");
    for row in &compared.rows {
        let seen = row.seen.iter().map(|seen| seen.as_deref().map_or("–".into(), cell));
        let seen: String = match row.differs() {
            true => seen.map(|seen| format!(" **{seen}** |")).collect(),
            false => seen.map(|seen| format!(" {seen} |")).collect(),
        };
        text += &format!("| {} |{seen} {} |\n", cell(&row.fact), cell(&row.scenario));
    }
    text.push('\n');
    text
}

fn list(facts: &[(&RunOf, &FactResult)]) -> String {
    let row = |(run, fact): &(&RunOf, &FactResult)| {
        let value = cell(&roads::value(fact));
        format!("| {} | {value} | {} |\n", cell(&fact.name), cell(&run.to_string()))
    };
    let mut rows: Vec<String> = facts.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort();
    format!(
        "## Facts\n\nObserved, not judged.\n\n| fact | value | scenario |\n|---|---|---|\n{}\n",
        rows.concat()
    )
}

/// Text on one line in which nothing means anything to Markdown or HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            // Not for Markdown, but so that nobody is called and nothing linked.
            '@' => out += "@<!-- -->",
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '$' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    // A list or a heading begins with these only at the start of a line.
    match out.chars().next() {
        Some('-' | '+' | '=') => format!("\\{out}"),
        _ => out,
    }
}

fn html(text: &str) -> String {
    one_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "@<!-- -->")
}

/// Text as code, within a line.
pub(crate) fn code(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        return String::new();
    }
    let ticks = "`".repeat(longest_ticks(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// Text as code, in a table: a bar ends a cell there even within code.
pub(crate) fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Text as a block that nothing in it can end.
pub(crate) fn fence(language: &str, text: &str) -> String {
    let text = printable(text);
    let ticks = "`".repeat(longest_ticks(&text).max(2) + 1);
    format!("{ticks}{language}\n{}\n{ticks}\n\n", text.trim_end())
}

fn longest_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::file::written;
    use crate::report::sample;

    #[test]
    fn everything() {
        insta::assert_snapshot!(written(render, &sample::failing()));
    }

    #[test]
    fn partial() {
        insta::assert_snapshot!(written(render, &sample::partial()));
    }

    #[test]
    fn what_did_run_is_told_of_a_run_that_was_interrupted_or_broke_off() {
        insta::assert_snapshot!(written(render, &sample::interrupted()));
        assert!(written(render, &sample::broken_off()).starts_with("# gauntlet: COULD NOT TELL\n"));
    }

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(code("a`b``"), "``` a`b`` ```");
        assert_eq!(cell("a|b\nc"), "`a\\|b c`");
        assert_eq!(
            escape("- *a* <b> | @c $d$"),
            "\\- \\*a\\* &lt;b&gt; \\| @<!-- -->c \\$d\\$"
        );
        assert_eq!(fence("sh", "```\nx"), "````sh\n```\nx\n````\n\n");
    }
}
