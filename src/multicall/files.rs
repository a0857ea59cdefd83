//! `cat` and `tr`: bytes from one place to another.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use super::{Call, complain, written};

/// Writes files one after another; `-`, and no name at all, is standard input.
/// A file that can't be read is told, and the others are still written.
pub fn cat(call: Call) -> u8 {
    let standard = [OsString::from("-")];
    let names = if call.args.is_empty() {
        &standard
    } else {
        call.args.as_slice()
    };
    if let Some(option) = names.iter().find(|name| name.len() > 1 && name.as_bytes()[0] == b'-') {
        return complain("cat", format!("{} is not supported", option.display()), 2);
    }
    let mut worst = 0;
    for name in names {
        let code = match name.as_bytes() {
            b"-" => copy("standard input", io::stdin().lock()),
            _ => match File::open(name) {
                Ok(file) => copy(&name.to_string_lossy(), file),
                Err(error) => complain("cat", format!("{}: {error}", name.display()), 1),
            },
        };
        worst = worst.max(code);
    }
    worst
}

fn copy(name: &str, mut from: impl Read) -> u8 {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return 0,
            Ok(count) => match written("cat", io::stdout().write_all(&bytes[..count])) {
                0 => {}
                code => return code,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return complain("cat", format!("{name}: {error}"), 1),
        }
    }
}

/// `tr SET SET` replaces bytes of standard input, `tr -d SET` takes them out. A set is characters,
/// ranges (`a-z`) and escapes (`\n`, `\0`, `\101`).
pub fn tr(call: Call) -> u8 {
    let args: Vec<&[u8]> = call.args.iter().map(|arg| arg.as_bytes()).collect();
    let table = match args.as_slice() {
        [b"-d", set] => members(set).map(|set| table(&set, None)),
        [from, to] if !from.starts_with(b"-") => members(from).and_then(|from| {
            let to = members(to).filter(|to| !to.is_empty())?;
            Some(table(&from, Some(&to)))
        }),
        _ => None,
    };
    let Some(table) = table else {
        return complain(
            "tr",
            "only `tr SET SET` and `tr -d SET` of characters, ranges and escapes are supported",
            1,
        );
    };
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = match io::stdin().lock().read(&mut bytes) {
            Ok(0) => return 0,
            Ok(count) => &bytes[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return complain("tr", format!("standard input: {error}"), 1),
        };
        let translated: Vec<u8> = read.iter().filter_map(|byte| table[usize::from(*byte)]).collect();
        match written("tr", io::stdout().write_all(&translated)) {
            0 => {}
            code => return code,
        }
    }
}

/// What becomes of each byte. The last one of a shorter second set stands for all that are missing.
fn table(from: &[u8], to: Option<&[u8]>) -> Vec<Option<u8>> {
    let mut table: Vec<Option<u8>> = (0..=255).map(Some).collect();
    for (at, byte) in from.iter().enumerate() {
        table[usize::from(*byte)] = to.and_then(|to| to.get(at).or(to.last())).copied();
    }
    table
}

/// The bytes of a set; none where something in it isn't understood.
fn members(set: &[u8]) -> Option<Vec<u8>> {
    if set.starts_with(b"[") || !set.is_ascii() {
        return None;
    }
    let mut members = Vec::new();
    let mut rest = set;
    while !rest.is_empty() {
        let first = member(&mut rest)?;
        match rest {
            [b'-', after @ ..] if !after.is_empty() => {
                rest = after;
                let last = member(&mut rest)?;
                if last < first {
                    return None;
                }
                members.extend(first..=last);
            }
            _ => members.push(first),
        }
    }
    Some(members)
}

fn member(rest: &mut &[u8]) -> Option<u8> {
    let (first, mut after) = rest.split_first()?;
    let mut byte = *first;
    if byte == b'\\' {
        let digits = after
            .iter()
            .take(3)
            .take_while(|byte| (b'0'..=b'7').contains(*byte))
            .count();
        let (escape, behind) = after.split_at(digits.max(1).min(after.len()));
        after = behind;
        byte = match escape {
            b"n" => b'\n',
            b"t" => b'\t',
            b"r" => b'\r',
            b"\\" => b'\\',
            octal if digits > 0 => u8::from_str_radix(std::str::from_utf8(octal).ok()?, 8).ok()?,
            _ => return None,
        };
    }
    *rest = after;
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        assert_eq!(members(br"a-cx\n\0\101").as_deref(), Some(&b"abcx\n\0A"[..]));
        assert_eq!(members(b"a-").as_deref(), Some(&b"a-"[..]));
        for wrong in [&b"[:alpha:]"[..], b"c-a", b"\\", b"\\q", b"\\777"] {
            assert_eq!(members(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn tables() {
        let upper = table(b"abc", Some(b"AB"));
        assert_eq!(
            [b'a', b'b', b'c', b'd'].map(|byte| upper[usize::from(byte)]),
            [b'A', b'B', b'B', b'd'].map(Some)
        );
        assert_eq!(table(b"a", None)[usize::from(b'a')], None);
    }
}
