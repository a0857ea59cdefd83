//! Templates as texts: where the expressions are, and what names they use.
//!
//! `${…}` holds an expression; `$${` is a plain `${`. A name may contain `-` between
//! letters: `master-key` is one name, so a subtraction has spaces around its sign.

use std::ops::Range;

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// What stands between `${` and `}`, and where it stands (bytes).
    Expression(String, Range<usize>),
}

/// An expression that doesn't end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclosed {
    /// Where its `${` stands (bytes).
    pub at: usize,
}

/// Splits a template into texts and expressions.
pub fn split(template: &str) -> Result<Vec<Piece>, Unclosed> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut at = 0;
    while let Some(found) = template[at..].find("${") {
        let open = at + found;
        if template[at..open].ends_with('$') {
            text.push_str(&template[at..open - 1]);
            text.push_str("${");
            at = open + 2;
            continue;
        }
        text.push_str(&template[at..open]);
        let start = open + 2;
        let Some(length) = end_of_expression(&template[start..]) else {
            return Err(Unclosed { at: open });
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        let end = start + length;
        pieces.push(Piece::Expression(template[start..end].to_owned(), start..end));
        at = end + 1;
    }
    text.push_str(&template[at..]);
    if !text.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// Whether a text holds an expression or the escape for one.
pub fn is_template(text: &str) -> bool {
    text.contains("${")
}

/// Where the `}` stands that closes the expression, past quotes and inner braces.
fn end_of_expression(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What a name is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    Variable,
    Function,
    Filter,
    Test,
}

/// A name in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub usage: Use,
    /// As written; of a variable with the fields that follow: `["s", "tty_token"]`.
    pub path: Vec<String>,
    /// Where the first part stands in the expression (bytes).
    pub at: usize,
}

const WORDS: [&str; 13] = [
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None",
];

/// The names that an expression uses.
pub fn names(expression: &str) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    let mut at = 0;
    // What stood before, blanks left out: decides what a name is.
    let mut before = "";
    while let Some(c) = expression[at..].chars().next() {
        let rest = &expression[at..];
        if c == '"' || c == '\'' {
            at += end_of_quote(rest);
            before = "quote";
        } else if c.is_ascii_digit() {
            at += rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            before = "number";
        } else if is_start(c) {
            let length = name_length(rest);
            let word = &rest[..length];
            let after = rest[length..].trim_start();
            let keyword_argument = after.starts_with('=') && !after.starts_with("==");
            let usage = match before {
                "|" => Some(Use::Filter),
                "is" => (word != "not").then_some(Use::Test),
                "." => None,
                _ if WORDS.contains(&word) || keyword_argument => None,
                _ if after.starts_with('(') => Some(Use::Function),
                _ => Some(Use::Variable),
            };
            if let Some(usage) = usage {
                let mut path = vec![word.to_owned()];
                if usage == Use::Variable {
                    path.extend(fields_behind(&rest[length..]));
                }
                names.push(Name { usage, path, at });
            }
            before = match (before, word) {
                ("is", "not") => "is",
                (_, "is") => "is",
                _ => "name",
            };
            at += length;
        } else {
            if !c.is_whitespace() {
                before = &rest[..c.len_utf8()];
            }
            at += c.len_utf8();
        }
    }
    names
}

/// The variable that an expression is, with fields behind it or without; none if it is more than that.
pub fn variable(expression: &str) -> Option<Name> {
    let mut names = names(expression);
    let name = names.pop().filter(|_| names.is_empty())?;
    (name.usage == Use::Variable && name.path.join(".") == expression.trim()).then_some(name)
}

/// The expression with its names as the template engine takes them: `-` inside a name
/// becomes `_`. Nothing moves.
pub fn for_engine(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut at = 0;
    while let Some(c) = expression[at..].chars().next() {
        let rest = &expression[at..];
        let length = match c {
            '"' | '\'' => end_of_quote(rest),
            c if is_start(c) => name_length(rest),
            c if c.is_ascii_digit() => rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        if is_start(c) {
            out.push_str(&rest[..length].replace('-', "_"));
        } else {
            out.push_str(&rest[..length]);
        }
        at += length;
    }
    out
}

fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// A name: letters, digits, `_`, and `-` where a letter follows.
fn name_length(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let goes_on = match c {
            '-' => chars.peek().is_some_and(|(_, next)| is_start(*next)),
            c => c.is_ascii_alphanumeric() || c == '_',
        };
        if !goes_on {
            return at;
        }
    }
    text.len()
}

/// `.a.b` behind a name.
fn fields_behind(mut text: &str) -> Vec<String> {
    let mut fields = Vec::new();
    while let Some(rest) = text.strip_prefix('.') {
        if !rest.starts_with(is_start) {
            break;
        }
        let length = name_length(rest);
        // A method of a value, not a field of it.
        if rest[length..].starts_with('(') {
            break;
        }
        fields.push(rest[..length].to_owned());
        text = &rest[length..];
    }
    fields
}

fn end_of_quote(text: &str) -> usize {
    let mut chars = text.char_indices();
    let Some((_, quote)) = chars.next() else {
        return 0;
    };
    let mut escaped = false;
    for (at, c) in chars {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits() {
        let expression = |text: &str, at: Range<usize>| Piece::Expression(text.to_owned(), at);
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(split("a${b}c"), Ok(vec![text("a"), expression("b", 3..4), text("c")]));
        assert_eq!(split("${ {'x': '}'} }"), Ok(vec![expression(" {'x': '}'} ", 2..14)]));
        assert_eq!(split("$${a} {% x %} {# y #}"), Ok(vec![text("${a} {% x %} {# y #}")]));
        assert_eq!(split("a $${ ${b"), Err(Unclosed { at: 6 }));
        assert_eq!(split(""), Ok(vec![text("")]));
    }

    #[test]
    fn finds_names() {
        let found: Vec<(Use, String)> =
            names("master-key ~ s.http-x.y[i - 1] | percent(n=3, m=k) if t is not defined else token() == 'x.y'")
                .into_iter()
                .map(|n| (n.usage, n.path.join("/")))
                .collect();
        let want = [
            (Use::Variable, "master-key"),
            (Use::Variable, "s/http-x/y"),
            (Use::Variable, "i"),
            (Use::Filter, "percent"),
            (Use::Variable, "k"),
            (Use::Variable, "t"),
            (Use::Test, "defined"),
            (Use::Function, "token"),
        ];
        let want: Vec<(Use, String)> = want.iter().map(|(u, n)| (*u, (*n).to_owned())).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn one_variable_and_nothing_more() {
        let path = |expression: &str| variable(expression).map(|name| name.path.join("/"));
        assert_eq!(path(" s.http-x "), Some("s/http-x".to_owned()));
        for more in ["s | upper", "s.x[0]", "s.items()", "s ~ t", "token()", "'s'", ""] {
            assert_eq!(path(more), None, "{more}");
        }
    }

    #[test]
    fn a_subtraction_has_spaces() {
        assert_eq!(for_engine("a-b - c-1 ~ 'x-y'"), "a_b - c-1 ~ 'x-y'");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = split(&text);
            let _ = names(&text);
            prop_assert_eq!(for_engine(&text).len(), text.len());
        }
    }
}
