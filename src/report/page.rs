//! What pages have in common: their style, and text in which nothing is live.

use super::text::printable;

/// The style: dark or light, as the reader's system is.
pub(crate) const STYLE: &str = include_str!("page.css");

/// Text in which nothing means anything to HTML, within an attribute too, and nothing turns its direction.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_live() {
        assert_eq!(
            text("\"'><script>a&b</script>\u{202e}\u{1b}["),
            "&quot;&#39;&gt;&lt;script&gt;a&amp;b&lt;/script&gt;\\u{202e}\\u{1b}["
        );
    }
}
