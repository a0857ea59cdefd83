//! Files that a user names: scenarios, profiles, reports, kubeconfigs, secrets, certificates.
//!
//! All of them are read here, so that none can be waited for without end or fill the memory: what is no
//! regular file is refused (a pipe, `/dev/zero`, what `<(…)` of a shell gives), and so is what is larger
//! than any good file. Standard input is what the user says it is, and has its limit too.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Most bytes of a kubeconfig, a secret or a file of certificates.
pub const SMALL: u64 = 4 << 20;

/// Most bytes of what gauntlet wrote itself: a report, a journal.
pub const OWN: u64 = 256 << 20;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What the system said, in words.
    #[error("{0}")]
    System(String),
    #[error("this is a folder, not a file")]
    Folder,
    #[error("this isn't a regular file")]
    NotRegular,
    #[error("the file has {size} bytes; at most {limit} are read")]
    TooLong { size: u64, limit: u64 },
    /// It says that it is shorter than it is, or grows.
    #[error("the file has more than {0} bytes, the most that are read")]
    Endless(u64),
    #[error("not UTF-8 from byte {valid} on")]
    NotText {
        /// How many bytes before it are.
        valid: usize,
        bytes: Vec<u8>,
    },
}

impl Refusal {
    /// What to do, where that is not plain from what is wrong.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Refusal::NotRegular => Some("copy its output into a file"),
            _ => None,
        }
    }

    /// What is wrong and what to do, in one line.
    pub fn in_a_line(&self) -> String {
        match self.help() {
            Some(help) => format!("{self}; {help}"),
            None => self.to_string(),
        }
    }
}

/// All of a file.
///
/// # Errors
/// If it isn't there, is no regular file, or has more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Refusal> {
    let failed = |error: io::Error| Refusal::System(because(path, &error));
    // Before it is opened: that alone can do something to a device.
    regular(&std::fs::metadata(path).map_err(failed)?, limit)?;
    let file = open(path).map_err(failed)?;
    // It may be another one by now.
    regular(&file.metadata().map_err(failed)?, limit)?;
    let mut bytes = Vec::new();
    // A file of /proc says that it is empty, and isn't.
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(Refusal::Endless(limit)),
        false => Ok(bytes),
    }
}

/// All of a file, as text.
///
/// # Errors
/// As of [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, Refusal> {
    text(read(path, limit)?)
}

fn text(bytes: Vec<u8>) -> Result<String, Refusal> {
    String::from_utf8(bytes).map_err(|error| Refusal::NotText {
        valid: error.utf8_error().valid_up_to(),
        bytes: error.into_bytes(),
    })
}

/// All of what comes out of a reader, as text: of standard input, which whoever runs gauntlet has at hand.
///
/// # Errors
/// If it has more than `limit` bytes, can't be read, or is not UTF-8.
pub fn read_stream(from: impl Read, limit: u64) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Refusal::System(format!("can't be read: {error}")))?;
    match bytes.len() as u64 > limit {
        true => Err(Refusal::Endless(limit)),
        false => text(bytes),
    }
}

/// Opens a file without waiting for anybody: the other end of a pipe may never come.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn regular(found: &Metadata, limit: u64) -> Result<(), Refusal> {
    match found.len() {
        _ if found.is_dir() => Err(Refusal::Folder),
        _ if !found.is_file() => Err(Refusal::NotRegular),
        size if size > limit => Err(Refusal::TooLong { size, limit }),
        _ => Ok(()),
    }
}

/// Why there is nothing to read at a path, in words.
pub fn because(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => "is a symbolic link to nothing".to_owned(),
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read".to_owned(),
        io::ErrorKind::NotADirectory => "is not a folder".to_owned(),
        _ => format!("can't be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").expect("written");
        assert_eq!(read_text(&path, 3).expect("read"), "abc");
        let refused = |path: &Path, limit| read_text(path, limit).expect_err("refused").in_a_line();
        assert_eq!(refused(&path, 2), "the file has 3 bytes; at most 2 are read");
        assert_eq!(refused(folder.path(), 9), "this is a folder, not a file");
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, pipe.as_path(), 0o600.into()).expect("made");
        let not_regular = "this isn't a regular file; copy its output into a file";
        assert_eq!(refused(&pipe, 9), not_regular);
        assert_eq!(refused(Path::new("/dev/zero"), 9), not_regular);
        assert_eq!(
            refused(&folder.path().join("none"), 9),
            "there is no such file or folder"
        );
        // It says that it has no bytes.
        let status = Path::new("/proc/self/status");
        assert_eq!(
            refused(status, 9),
            "the file has more than 9 bytes, the most that are read"
        );
        assert!(read_text(status, SMALL).is_ok());
        std::fs::write(&path, b"ab\xff").expect("written");
        assert_eq!(refused(&path, 9), "not UTF-8 from byte 2 on");
    }

    #[test]
    fn what_comes_out_of_a_reader() {
        assert_eq!(read_stream(&b"abc"[..], 3).expect("read"), "abc");
        let refused = read_stream(io::repeat(b'a'), 9).expect_err("endless").in_a_line();
        assert_eq!(refused, "the file has more than 9 bytes, the most that are read");
        assert!(read_stream(&b"\xff"[..], 9).is_err());
    }
}
