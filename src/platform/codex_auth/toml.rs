//! As much of codex's `config.toml` as the agent writes and the stand-in reads: tables of texts, numbers and
//! truths, one a line.

use std::collections::BTreeMap;

/// A text as TOML quotes it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(control))),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

/// The texts of a configuration by their dotted names. What isn't a text is left out.
pub fn texts(file: &str) -> BTreeMap<String, String> {
    let mut table = String::new();
    let mut texts = BTreeMap::new();
    for line in file.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table = format!("{name}.");
        } else if let Some((name, value)) = line.split_once('=')
            && let Some(value) = unquoted(value.trim())
        {
            texts.insert(format!("{table}{}", name.trim()), value);
        }
    }
    texts
}

fn unquoted(value: &str) -> Option<String> {
    let mut characters = value.strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => match characters.next()? {
                'u' => {
                    let digits: String = characters.by_ref().take(4).collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => text.push(other),
            },
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let odd = "a \"b\" \\ \n ] = #";
        let file = format!(
            "# made at boot\nmodel = {}\nretries = 0\n[model_providers.litellm]\nbase_url = {} # where\n",
            quoted(odd),
            quoted("http://litellm:4000/v1"),
        );
        let texts = texts(&file);
        assert_eq!(texts["model"], odd);
        assert_eq!(texts["model_providers.litellm.base_url"], "http://litellm:4000/v1");
        assert_eq!(texts.len(), 2);
    }
}
