//! The name of a run's folder.

use std::fs;
use std::io;
use std::path::Path;

/// The time of the start, as it stands in a folder's name: `20261128T183005Z`.
pub(super) const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// By time, and among those of one second by number.
pub(super) type Order = (String, u32);

/// What a folder of this name is ordered by; none if it is no name of a run's folder.
pub(super) fn order(name: &str) -> Option<Order> {
    let (stamp, number) = match name.split_once('-') {
        Some((stamp, number)) => (stamp, number.parse::<u32>().ok().filter(|number| *number > 1)?),
        None => (name, 1),
    };
    let form = stamp
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    form.eq(*b"00000000T000000Z").then(|| (stamp.to_owned(), number))
}

/// The name of this number, from 1 on.
pub(super) fn of(stamp: &str, number: u32) -> String {
    match number {
        1 => stamp.to_owned(),
        number => format!("{stamp}-{number}"),
    }
}

/// The number behind all that are taken: a lower one that is free again would be of an earlier run.
pub(super) fn next(reports: &Path, stamp: &str) -> io::Result<u32> {
    let mut last = 0;
    for entry in fs::read_dir(reports)? {
        let name = entry?.file_name();
        if let Some((other, number)) = name.to_str().and_then(order)
            && other == stamp
        {
            last = last.max(number);
        }
    }
    Ok(last.saturating_add(1))
}
