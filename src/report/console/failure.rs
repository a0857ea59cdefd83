//! One failure, for a reader who has not seen the code.

use std::fmt::Write;
use std::path::Path;

use super::Style;
use crate::events::{At, CheckResult, ScenarioResult};
use crate::report::evidence::{evidence_folder, evidence_paths};
use crate::report::text::{cut, last_lines, one_line, pointed, printable, wrap};
use crate::report::words::{self, Outcome};
use crate::vocabulary::ExpectationKind;

/// Pieces of evidence named, the most telling ones; the folder is named for the rest.
const NAMED: usize = 3;

/// Lines of evidence shown; the whole lies in its file.
const EXCERPT: usize = 10;

/// A failure: what, where, the evidence, and how to reproduce it.
pub(super) fn explain(result: &ScenarioResult, evidence: &Path, style: Style, width: usize) -> String {
    let mut page = Page {
        out: String::new(),
        style,
        width,
    };
    page.head(result);
    let (reason, bad) = words::story(result);
    if let Some(reason) = reason {
        page.labelled("why", &reason);
        page.gap();
    }
    for check in bad {
        page.check(check);
        page.gap();
    }
    page.evidence(result, evidence);
    page.gap();
    page.reproduce(&result.reproduce);
    page.gap();
    page.out
}

struct Page {
    out: String,
    style: Style,
    width: usize,
}

/// Columns before a text that has a label.
const LABEL: usize = 12;

impl Page {
    fn line(&mut self, text: &str) {
        self.out += text;
        self.out.push('\n');
    }

    /// An empty line where there is none yet.
    fn gap(&mut self) {
        if !self.out.ends_with("\n\n") {
            self.line("");
        }
    }

    fn head(&mut self, result: &ScenarioResult) {
        let word = self.style.outcome(Outcome::of(result), 0);
        let name = self.style.bold(&result.run.to_string());
        let plain = format!("── {} {} ", Outcome::of(result).word(), result.run);
        let rest = self.width.saturating_sub(plain.chars().count());
        self.line(&format!("── {word} {name} {}", "─".repeat(rest)));
        for line in wrap(&one_line(&result.title), self.width - 2) {
            self.line(&format!("  {line}"));
        }
        self.line("");
        if !result.spec.is_empty() {
            self.labelled("rule from", &result.spec);
        }
    }

    fn labelled(&mut self, label: &str, text: &str) {
        let text = printable(text);
        let lines = wrap(text.trim_end(), self.width - LABEL);
        let mut label = label;
        for line in &lines {
            let rest = format!("{label:>10}  {line}");
            self.line(rest.trim_end());
            label = "";
        }
    }

    fn check(&mut self, check: &CheckResult) {
        self.labelled("step", &check.what);
        self.labelled("expected", &check.expected);
        self.labelled("got", &check.got);
        if let Some(reason) = &check.reason {
            self.labelled("because", reason);
        }
        if check.is_of_clean_up() {
            self.labelled(
                "note",
                "this expectation is of the clean-up (`finally`); what was made may still be there",
            );
        } else if check.kind == ExpectationKind::Given {
            self.labelled(
                "note",
                "this expectation only sets the scene (`given`); as it did not hold, \
                 the rule itself could not be judged",
            );
        }
        self.place(&check.at);
    }

    fn place(&mut self, at: &At) {
        // A report that is read back has no lines of scenarios.
        if at.text.is_empty() {
            return self.labelled("in", &format!("{}:{}", at.file, at.line));
        }
        let number = at.line.to_string();
        let margin = number.len();
        let (shown, caret) = pointed(&at.text, at.column, self.width - LABEL - margin - 3);
        let caret = self.style.wrong(&caret);
        let _ = write!(
            self.out,
            "{:>10}  {}:{}\n{:LABEL$}{:margin$} |\n{:LABEL$}{number} | {shown}\n{:LABEL$}{:margin$} | {caret}\n",
            "in",
            printable(&at.file),
            at.line,
            "",
            "",
            "",
            "",
            ""
        );
    }

    fn evidence(&mut self, result: &ScenarioResult, folder: &Path) {
        let paths = evidence_paths(folder, result);
        // One more name takes no more room than to say that there is one more.
        let named = if paths.len() == NAMED + 1 { NAMED + 1 } else { NAMED };
        for (n, (evidence, path)) in result.evidence.iter().zip(&paths).take(named).enumerate() {
            let label = if n == 0 { "evidence" } else { "" };
            let title = one_line(&evidence.title);
            // A path is there to be copied: on a line of its own, never broken.
            self.line(&format!("{label:>10}  {title}:"));
            self.line(&format!("{:LABEL$}{}", "", path.display()));
            if n == 0 {
                self.excerpt(&evidence.text);
            }
        }
        if paths.len() > named
            && let Some(folder) = evidence_folder(folder, result)
        {
            let more = paths.len() - named;
            self.line(&format!("{:LABEL$}and {more} more in {}/", "", folder.display()));
        }
    }

    fn excerpt(&mut self, text: &str) {
        let text = printable(text);
        let (left_out, lines) = last_lines(text.trim_end(), EXCERPT);
        if left_out > 0 {
            self.line(&format!("{:LABEL$}| … {left_out} lines before", ""));
        }
        for line in lines {
            let line = cut(line.trim_end(), self.width - LABEL - 2);
            let line = format!("{:LABEL$}| {line}", "");
            self.line(line.trim_end());
        }
    }

    fn reproduce(&mut self, commands: &[String]) {
        if commands.is_empty() {
            return;
        }
        self.line("  to see it again, paste:");
        // Never broken or marked, so that they can be pasted as they are.
        for command in commands {
            for line in printable(command).lines() {
                self.line(&format!("    {line}"));
            }
        }
    }
}
