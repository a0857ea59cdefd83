//! Files that are written completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Written;

/// Replaces the file at `path` by `bytes`. Whoever looks sees the old file or
/// the whole new one, also after a crash. Makes the folder. What is no regular
/// file (`/dev/stdout`, a FIFO) is written to as it is.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes).map_err(|error| explain(path, &error))
}

/// As [`write`]; says what can be searched afterwards.
pub(super) fn deliver(path: &Path, bytes: Vec<u8>) -> io::Result<Written> {
    write(path, &bytes)?;
    let regular = fs::metadata(path).is_ok_and(|found| found.is_file());
    Ok(Written {
        file: path.to_owned(),
        streamed: (!regular).then_some(bytes),
    })
}

/// Finds out before the run whether files can be written into a folder, without making it.
pub(super) fn check_folder(folder: &Path) -> io::Result<()> {
    let mut nearest = folder;
    while !nearest.as_os_str().is_empty() && fs::symlink_metadata(nearest).is_err() {
        nearest = nearest.parent().unwrap_or(Path::new(""));
    }
    let nearest = match nearest.as_os_str().is_empty() {
        true => Path::new("."),
        false => nearest,
    };
    let probe = || {
        if !fs::metadata(nearest)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let probe = nearest.join(format!(".gauntlet.{}.tmp", std::process::id()));
        create(&probe)?;
        fs::remove_file(&probe)
    };
    probe().map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotADirectory => format!("{} is not a folder", nearest.display()),
            io::ErrorKind::NotFound => format!("no file can be made in {}", nearest.display()),
            _ => because(&error),
        };
        let text = format!("cannot write into the folder {}: {why}", folder.display());
        io::Error::new(error.kind(), text)
    })
}

/// The error of a folder that files can't go into, with its path and with what can be done.
pub(super) fn no_folder(folder: &Path, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "it, or a part of its path, is a file".to_owned()
        }
        _ => because(error),
    };
    let text = format!("cannot write into the folder {}: {why}", folder.display());
    io::Error::new(error.kind(), text)
}

/// Finds out before the run whether a report can be written here after it.
pub(super) fn check(path: &Path) -> io::Result<()> {
    let probe = || {
        let Some((target, temporary)) = prepare(path)? else {
            return Ok(());
        };
        if target.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        create(&temporary)?;
        fs::remove_file(&temporary)
    };
    probe().map_err(|error| explain(path, &error))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some((target, temporary)) = prepare(path)? else {
        return match own_stream(path) {
            Some(mut stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            None => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        };
    };
    if target.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let written = create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &target)
    });
    if written.is_err() {
        // It may not have come to be; the first error is the one to tell of.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // Makes the new name last over a power cut. Some file systems can't sync a
    // folder; the file itself is whole already.
    if let Some(folder) = target.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// This process's own output, where the path is one of its names. To open a pipe by name once
/// more waits for a reader; the one that is open already tells that there is none.
fn own_stream(path: &Path) -> Option<Box<dyn Write>> {
    match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(Box::new(io::stdout())),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(Box::new(io::stderr())),
        _ => None,
    }
}

/// The file to replace and the temporary one beside it; none if the path is
/// there and is no regular file. Links are followed, so that they stay links.
fn prepare(path: &Path) -> io::Result<Option<(PathBuf, PathBuf)>> {
    let target = match fs::metadata(path) {
        Ok(found) if !found.is_file() && !found.is_dir() => return Ok(None),
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let name = target.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_owned();
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let temporary = target.with_file_name(hidden);
    Ok(Some((target, temporary)))
}

fn create(path: &Path) -> io::Result<File> {
    // One of the same process number may have been left by a crash.
    OpenOptions::new().write(true).create(true).truncate(true).open(path)
}

/// The error with the path, and with what can be done.
fn explain(path: &Path, error: &io::Error) -> io::Error {
    let why = because(error);
    io::Error::new(error.kind(), format!("cannot write {}: {why}", path.display()))
}

fn because(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "there is no space left on its disk".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "its file system is read-only".to_owned(),
        io::ErrorKind::PermissionDenied => "its folder may not be written to".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder; name a file in it".to_owned(),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a part of the path before the file name is a file, not a folder".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn makes_the_folder_and_leaves_nothing_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/report.json");
        check(&path).unwrap();
        assert_eq!(names(&folder.path().join("a/b")), [""; 0]);
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(&folder.path().join("a/b")), ["report.json"]);
    }

    #[test]
    fn a_folder_or_a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| {
            let (check, write) = (check(path).unwrap_err(), write(path, b"x").unwrap_err());
            assert_eq!(check.to_string(), write.to_string());
            write.to_string().replace(folder.path().to_str().unwrap(), "F")
        };
        fs::create_dir(folder.path().join("is")).unwrap();
        fs::write(folder.path().join("file"), "old").unwrap();
        assert_eq!(
            said(&folder.path().join("is")),
            "cannot write F/is: it is a folder; name a file in it"
        );
        for path in ["file/report.json", "file/sub/report.json"] {
            assert_eq!(
                said(&folder.path().join(path)),
                format!(
                    "cannot write F/{path}: a part of the path before the file name is a file, \
                     not a folder"
                )
            );
        }
        assert_eq!(names(folder.path()), ["file", "is"]);
        assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"old");
    }

    #[test]
    fn no_space_and_no_right_have_words() {
        let say = |kind: io::ErrorKind| explain(Path::new("r/j.xml"), &kind.into()).to_string();
        insta::assert_snapshot!(say(io::ErrorKind::StorageFull), @"cannot write r/j.xml: there is no space left on its disk");
        insta::assert_snapshot!(say(io::ErrorKind::ReadOnlyFilesystem), @"cannot write r/j.xml: its file system is read-only");
        insta::assert_snapshot!(say(io::ErrorKind::PermissionDenied), @"cannot write r/j.xml: its folder may not be written to");
        if Path::new("/dev/full").exists() {
            let error = write(Path::new("/dev/full"), b"x").unwrap_err();
            assert_eq!(
                error.to_string(),
                "cannot write /dev/full: there is no space left on its disk"
            );
        }
    }

    #[test]
    fn a_folder_is_tried_without_being_made() {
        let folder = tempfile::tempdir().unwrap();
        check_folder(&folder.path().join("a/b")).unwrap();
        check_folder(folder.path()).unwrap();
        assert_eq!(names(folder.path()), [""; 0]);
        fs::write(folder.path().join("file"), "old").unwrap();
        let error = check_folder(&folder.path().join("file/evidence"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error.replace(folder.path().to_str().unwrap(), "F"),
            "cannot write into the folder F/file/evidence: F/file is not a folder"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("real"), "old").unwrap();
        std::os::unix::fs::symlink("real", folder.path().join("link")).unwrap();
        write(&folder.path().join("link"), b"new").unwrap();
        assert_eq!(fs::read(folder.path().join("real")).unwrap(), b"new");
        assert!(folder.path().join("link").is_symlink());
    }
}
