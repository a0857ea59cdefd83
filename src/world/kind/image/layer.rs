//! The one layer: what is in it, and its bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{ImageError, PROGRAM};

/// The one user beside root; what pods run as.
pub const USER: u32 = 65532;

const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\ngauntlet:x:65532:65532:gauntlet:/:/bin/sh\n";
const GROUP: &str = "root:x:0:\ngauntlet:x:65532:\n";
/// `/etc/hosts` before DNS, and no other source.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// What a path of the layer is.
#[derive(Debug)]
pub enum Content {
    File { from: PathBuf, size: u64, mode: u32 },
    Text(&'static str),
    Link(PathBuf),
    Folder { mode: u32 },
}

impl Content {
    /// A file of this machine. Its bytes are read when they are written.
    pub fn of_file(from: &Path, mode: u32) -> Result<Content, ImageError> {
        let found = std::fs::metadata(from).map_err(|source| ImageError::Read {
            path: from.to_owned(),
            source,
        })?;
        Ok(Content::File {
            from: from.to_owned(),
            size: found.len(),
            mode,
        })
    }
}

/// Contents by path, and what comes of them.
pub struct Layer {
    parts: BTreeMap<PathBuf, Content>,
    /// Hexadecimal SHA-256 of the bytes.
    pub digest: String,
    pub size: u64,
}

/// What every image has.
pub fn fixed() -> BTreeMap<PathBuf, Content> {
    BTreeMap::from([
        ("/etc/passwd".into(), Content::Text(PASSWD)),
        ("/etc/group".into(), Content::Text(GROUP)),
        ("/etc/nsswitch.conf".into(), Content::Text(NSSWITCH)),
        ("/tmp".into(), Content::Folder { mode: 0o1777 }),
    ])
}

impl Layer {
    /// Adds the folders above, and reads everything for the digest.
    pub fn new(mut parts: BTreeMap<PathBuf, Content>) -> Result<Layer, ImageError> {
        let paths: Vec<PathBuf> = parts.keys().cloned().collect();
        for folder in paths.iter().flat_map(|path| path.ancestors().skip(1)) {
            if folder != Path::new("/") {
                parts
                    .entry(folder.to_owned())
                    .or_insert(Content::Folder { mode: 0o755 });
            }
        }
        let mut layer = Layer {
            parts,
            digest: String::new(),
            size: 0,
        };
        let mut hashed = Hashed::new(io::sink());
        layer
            .write(&mut hashed)
            .map_err(|error| super::explain(error, "nowhere"))?;
        (layer.digest, layer.size) = hashed.end();
        Ok(layer)
    }

    /// Writes its bytes: always the same ones for the same files. Sorted, of the year 1970, and root's.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut tar = Builder::new(out);
        for (path, content) in &self.parts {
            let path = path.strip_prefix("/").unwrap_or(path);
            match content {
                Content::File { from, size, mode } => {
                    let exactly = Exactly::open(from, *size)?;
                    tar.append_data(&mut header(EntryType::Regular, *mode, *size), path, exactly)?;
                }
                Content::Text(text) => {
                    let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
                    tar.append_data(&mut header, path, text.as_bytes())?;
                }
                Content::Link(to) => tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, to)?,
                Content::Folder { mode } => {
                    // A folder's name ends with a slash.
                    tar.append_data(&mut header(EntryType::Directory, *mode, 0), path.join(""), io::empty())?;
                }
            }
        }
        tar.finish()
    }
}

impl Layer {
    /// The binary's path on this machine.
    pub fn program(&self) -> PathBuf {
        match self.parts.get(Path::new(PROGRAM)) {
            Some(Content::File { from, .. }) => from.clone(),
            _ => PROGRAM.into(),
        }
    }
}

/// A tar header that is the same on every machine.
pub fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A file of the size that is known already. Errors are [`ImageError`]s, so that they aren't taken for the writer's.
struct Exactly<'a> {
    path: &'a Path,
    file: File,
    left: u64,
}

impl Exactly<'_> {
    fn open(path: &Path, size: u64) -> io::Result<Exactly<'_>> {
        let file = File::open(path).map_err(|error| unread(path, error))?;
        Ok(Exactly { path, file, left: size })
    }
}

fn unread(path: &Path, source: io::Error) -> io::Error {
    let path = path.to_owned();
    io::Error::other(ImageError::Read { path, source })
}

impl Read for Exactly<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let changed = || {
            io::Error::other(ImageError::Changed {
                path: self.path.to_owned(),
            })
        };
        let count = match self.file.read(into) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(unread(self.path, error)),
        };
        self.left = self.left.checked_sub(count as u64).ok_or_else(changed)?;
        if count == 0 && self.left > 0 && !into.is_empty() {
            return Err(changed());
        }
        Ok(count)
    }
}

/// Counts and hashes what is written through it.
pub struct Hashed<W> {
    out: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashed<W> {
    pub fn new(out: W) -> Hashed<W> {
        Hashed {
            out,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// The hexadecimal digest, and how many bytes it is of.
    pub fn end(self) -> (String, u64) {
        (hexadecimal(&self.hash.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The SHA-256 of bytes, hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
