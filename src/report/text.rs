//! Text for people: without terminal control sequences, in lines of a readable width.

use std::borrow::Cow;
use std::time::Duration;

/// `text` with what a terminal would obey, or would show in another order than
/// it stands, made visible: evidence is written by the platform under test.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let dangerous = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    if !text.contains(dangerous) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            c if dangerous(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// `text` without what CI servers read as commands in a log: `::error::` at the
/// start of a line, `##[…]` and `##vso[…]` anywhere.
pub(super) fn without_commands(text: &str) -> Cow<'_, str> {
    const ANYWHERE: [&str; 3] = ["##[", "##vso[", "##teamcity["];
    let at_start = |line: &str| line.trim_start().starts_with("::");
    if !text.lines().any(at_start) && !ANYWHERE.iter().any(|c| text.contains(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 2);
    for line in text.split_inclusive('\n') {
        if at_start(line) {
            let indent = line.len() - line.trim_start().len();
            out += &line[..indent];
            out += "| ";
            out += &line[indent..];
        } else {
            out += line;
        }
    }
    for command in ANYWHERE {
        out = out.replace(command, &command.replacen("##", "# #", 1));
    }
    Cow::Owned(out)
}

/// [`printable`], on one line.
pub(crate) fn one_line(text: &str) -> String {
    printable(text)
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `text` in lines of at most `width` characters, broken at spaces where there
/// are some. Its own line ends stay.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(10);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split(' ') {
            let long = word.chars().count();
            if used > 0 && used + 1 + long > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            } else if used > 0 {
                line.push(' ');
                used += 1;
            }
            for c in word.chars() {
                if used == width {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += 1;
            }
        }
        lines.push(line);
    }
    lines
}

/// At most `width` characters, `…` for the rest.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
    match text.char_indices().nth(width) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let kept: String = text.chars().take(width.saturating_sub(1)).collect();
            Cow::Owned(kept + "…")
        }
    }
}

/// `1.234s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.3}s", duration.as_secs_f64())
}

/// The last lines of a text, and how many there were before them.
pub(super) fn last_lines(text: &str, most: usize) -> (usize, Vec<&str>) {
    let lines: Vec<&str> = text.lines().collect();
    let left_out = match lines.len().saturating_sub(most) {
        // A line that says that one is missing is no shorter.
        1 => 0,
        n => n,
    };
    (left_out, lines[left_out..].to_vec())
}

/// A source line with a caret below the part from `column` on: a window of it
/// where it is longer than `width`.
pub(super) fn pointed(line: &str, column: u32, width: usize) -> (String, String) {
    let characters: Vec<char> = printable(line)
        .trim_end()
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .collect();
    let column = usize::try_from(column).unwrap_or(usize::MAX).max(1) - 1;
    let column = column.min(characters.len());
    let first = if characters.len() <= width {
        0
    } else {
        column.saturating_sub(width / 4)
    };
    let shown: String = characters.iter().skip(first).take(width).collect();
    let before = column - first;
    let carets = shown.chars().count().saturating_sub(before).max(1);
    (shown, " ".repeat(before) + &"^".repeat(carets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_nothing_to_obey() {
        assert_eq!(
            printable("a\x1b[2Jb\r\nc\rd\u{202e}e\u{7f}\té"),
            "a\\u{1b}[2Jb\nc\\rd\\u{202e}e\\u{7f}\té"
        );
        assert_eq!(one_line("a\n\n  b\x07\n"), "a b\\u{7}");
    }

    #[test]
    fn ci_servers_get_no_commands() {
        assert_eq!(
            without_commands("a::b\n  ::set-env name=x::y\nc ##[group]d ##vso[e]"),
            "a::b\n  | ::set-env name=x::y\nc # #[group]d # #vso[e]"
        );
        assert!(matches!(without_commands("## a::b\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn lines_are_broken_at_spaces_and_else_anywhere() {
        assert_eq!(wrap("one two three", 10), ["one two", "three"]);
        assert_eq!(wrap("a\n\nb", 10), ["a", "", "b"]);
        assert_eq!(wrap("0123456789abc de", 10), ["0123456789", "abc de"]);
        assert_eq!(wrap("", 10), [""; 0]);
        assert_eq!(cut("üüüü", 3), "üü…");
        assert_eq!(cut("üüü", 3), "üüü");
    }

    #[test]
    fn the_caret_stands_below_what_is_meant() {
        assert_eq!(
            pointed("  check: opens  ", 3, 40),
            ("  check: opens".into(), "  ^^^^^^^^^^^^".into())
        );
        assert_eq!(pointed("", 9, 40), (String::new(), "^".into()));
        let (line, caret) = pointed(&format!("{}HERE{}", "a".repeat(100), "b".repeat(100)), 101, 40);
        assert_eq!(line, format!("{}HERE{}", "a".repeat(10), "b".repeat(26)));
        assert_eq!(caret, format!("{}{}", " ".repeat(10), "^".repeat(30)));
    }
}
