//! The libraries that a program needs, found where its loader would find them.
//!
//! `ldd` would tell as well, but runs the program's loader to do so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};

use object::elf::{EM_AARCH64, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};

use super::ImageError;
use super::elf::{self, Elf};

/// The files that go into the image besides the program.
#[derive(Debug, Default)]
pub struct Closure {
    pub files: Vec<Found>,
    /// Whether the loader finds one of them only by its cache.
    pub by_cache: bool,
}

/// A file here and in the image.
#[derive(Clone, Debug)]
pub struct Found {
    pub host: PathBuf,
    pub image: PathBuf,
}

/// The folders that this machine's loader searches.
pub struct System {
    root: PathBuf,
    /// Paths by the name of the library, from `/etc/ld.so.cache`.
    cache: BTreeMap<String, Vec<PathBuf>>,
}

impl System {
    /// The machine that this runs on.
    pub fn here() -> System {
        System::at(Path::new("/"))
    }

    /// A system below a folder.
    pub fn at(root: &Path) -> System {
        // Without one there are still the folders that the loader knows by itself.
        let cache = std::fs::read(root.join("etc/ld.so.cache")).unwrap_or_default();
        System {
            root: root.to_owned(),
            cache: cached(&cache).unwrap_or_default(),
        }
    }

    pub fn cache_file(&self) -> PathBuf {
        self.root.join("etc/ld.so.cache")
    }

    /// A path of the system as a path of this machine.
    pub fn host(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path of this machine as one of the system.
    pub fn image(&self, host: &Path) -> PathBuf {
        Path::new("/").join(host.strip_prefix(&self.root).unwrap_or(host))
    }
}

/// Folders that loaders know by themselves.
fn built_in(machine: u16) -> Vec<PathBuf> {
    let triplet = match machine {
        EM_X86_64 => "x86_64-linux-gnu",
        EM_AARCH64 => "aarch64-linux-gnu",
        EM_PPC64 => "powerpc64le-linux-gnu",
        EM_RISCV => "riscv64-linux-gnu",
        EM_S390 => "s390x-linux-gnu",
        _ => "",
    };
    let folders = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from);
    let debian = ["/lib", "/usr/lib"].map(|folder| Path::new(folder).join(triplet));
    debian.into_iter().chain(folders).collect()
}

/// The program's loader, its libraries and theirs. `image` is where the program will be.
pub fn closure(program: &Elf, host: &Path, image: &Path, system: &System) -> Result<Closure, ImageError> {
    let mut closure = Closure::default();
    let mut known = BTreeSet::new();
    if let Some(interpreter) = &program.interpreter {
        // Libraries need it by name too; it is there by then.
        known.extend(interpreter.file_name().map(|name| name.to_string_lossy().into_owned()));
        closure.files.push(Found {
            host: system.host(interpreter),
            image: clean(interpreter),
        });
    }
    let search = Search {
        system,
        program,
        built_in: built_in(program.machine),
        inherited: folders(&program.rpath, host, image, system),
    };
    let place = Found {
        host: host.to_owned(),
        image: image.to_owned(),
    };
    let mut open = VecDeque::from([(
        place,
        program.needed.clone(),
        folders(own(program), host, image, system),
    )]);
    while let Some((by, needed, folders)) = open.pop_front() {
        for name in needed {
            if !known.insert(name.clone()) {
                continue;
            }
            let (found, by_cache) = search
                .library(&name, &folders)
                .ok_or_else(|| search.missing(&name, &by, &folders))?;
            closure.by_cache |= by_cache;
            let library = elf::read(&found.host)?;
            let theirs = self::folders(own(&library), &found.host, &found.image, system);
            let mut needs = library.needed.clone();
            if name == "libc.so.6" && !library.glibc_2_34 {
                // Loaded when a name is looked up, and so in no list.
                let names = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2"];
                needs.extend(
                    names
                        .into_iter()
                        .filter(|name| search.library(name, &[]).is_some())
                        .map(str::to_owned),
                );
            }
            closure.files.push(found.clone());
            open.push_back((found, needs, theirs));
        }
    }
    Ok(closure)
}

/// A file's own folders: RPATH counts only where there is no RUNPATH.
fn own(file: &Elf) -> &[String] {
    if file.runpath.is_empty() {
        &file.rpath
    } else {
        &file.runpath
    }
}

/// Folders that a file names, `$ORIGIN` being where it is itself: here, and in the image.
fn folders(named: &[String], host: &Path, image: &Path, system: &System) -> Vec<Found> {
    let folder = |path: &Path| path.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let (host, image) = (folder(host), folder(image));
    let at = |named: &str, origin: &str| PathBuf::from(named.replace("${ORIGIN}", origin).replace("$ORIGIN", origin));
    let found = named.iter().map(|named| match named.contains("ORIGIN") {
        true => Found {
            host: at(named, &host),
            image: clean(&at(named, &image)),
        },
        false => Found {
            host: system.host(Path::new(named)),
            image: clean(Path::new(named)),
        },
    });
    found.collect()
}

struct Search<'a> {
    system: &'a System,
    program: &'a Elf,
    built_in: Vec<PathBuf>,
    /// The program's RPATH, which is its libraries' too.
    inherited: Vec<Found>,
}

impl Search<'_> {
    /// The library, and whether the loader would need its cache to find it.
    fn library(&self, name: &str, folders: &[Found]) -> Option<(Found, bool)> {
        let named = folders.iter().chain(&self.inherited).map(|folder| Found {
            host: folder.host.join(name),
            image: folder.image.join(name),
        });
        let at = |path: PathBuf| Found {
            host: self.system.host(&path),
            image: clean(&path),
        };
        let cached = self.system.cache.get(name).into_iter().flatten().cloned().map(at);
        let built_in = self.built_in.iter().map(|folder| at(folder.join(name)));
        let fits = |found: &Found| {
            elf::read(&found.host).is_ok_and(|file| {
                file.machine == self.program.machine && file.little_endian == self.program.little_endian
            })
        };
        let found = |found: Found| (found, false);
        named.clone().find(fits).map(found).or_else(|| {
            let mut rest = cached.chain(built_in);
            let found = rest.find(fits)?;
            let by_cache = !self
                .built_in
                .iter()
                .any(|folder| Some(folder.as_path()) == found.image.parent());
            Some((found, by_cache))
        })
    }

    fn missing(&self, name: &str, by: &Found, folders: &[Found]) -> ImageError {
        let named = folders.iter().chain(&self.inherited).map(|folder| folder.host.clone());
        let all = named
            .chain([self.system.cache_file()])
            .chain(self.built_in.iter().map(|path| self.system.host(path)));
        ImageError::Library {
            name: name.to_owned(),
            needed_by: by.host.clone(),
            searched: all
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// A path without `.` and `..`: in the image there are no links that would make them mean something else.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// Bytes of the cache's head and of each of its entries.
const HEAD: usize = 48;
const ENTRY: usize = 24;

/// Reads `/etc/ld.so.cache` (glibc's format 1.1, which may stand behind the older one).
/// Entries for processors with more than the architecture's basics are left out:
/// the cluster's may be others. None if it is something else.
fn cached(bytes: &[u8]) -> Option<BTreeMap<String, Vec<PathBuf>>> {
    let magic = b"glibc-ld.so.cache1.1";
    let start = bytes.windows(magic.len()).position(|window| window == magic)?;
    let bytes = &bytes[start..];
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let text = |at: usize| {
        let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in 0..number(20)? {
        let at = HEAD + entry * ENTRY;
        if (number(at + 16)?, number(at + 20)?) == (0, 0) {
            found
                .entry(text(number(at + 4)?)?)
                .or_default()
                .push(text(number(at + 8)?)?.into());
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(clean(Path::new("/usr/bin/../lib/./x")), Path::new("/usr/lib/x"));
        assert_eq!(clean(Path::new("../../x")), Path::new("/x"));
    }

    #[test]
    fn a_cache_is_read_and_others_are_none() {
        assert!(cached(b"").is_none() && cached(b"glibc-ld.so.cache1.1").is_none());
        let mut bytes = b"glibc-ld.so.cache1.1".to_vec();
        bytes.extend(2u32.to_ne_bytes());
        bytes.resize(HEAD, 0);
        let strings = u32::try_from(HEAD + 2 * ENTRY).unwrap();
        for hwcap in [0u64, 1 << 62] {
            for word in [0x303, strings, strings + 8, 0] {
                bytes.extend(u32::to_ne_bytes(word));
            }
            bytes.extend(hwcap.to_ne_bytes());
        }
        bytes.extend(b"liba.so\0/x/liba.so\0");
        let found = cached(&bytes).unwrap();
        assert_eq!(found["liba.so"], [PathBuf::from("/x/liba.so")]);
    }
}
