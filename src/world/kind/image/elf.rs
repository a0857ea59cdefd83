//! The libraries and loader that an ELF file needs.

use std::fs::File;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ReadCache};

use super::ImageError;

/// A program or library, as far as its loader is concerned.
#[derive(Debug)]
pub struct Elf {
    pub machine: u16,
    pub little_endian: bool,
    /// The loader; none in libraries and static programs.
    pub interpreter: Option<PathBuf>,
    /// Names of libraries.
    pub needed: Vec<String>,
    /// Folders for its own libraries and those of its libraries.
    pub rpath: Vec<String>,
    /// Folders for its own libraries; where there are any `rpath` doesn't count.
    pub runpath: Vec<String>,
    /// Whether the version GLIBC_2.34 is in it. In the C library: looking up
    /// names needs no further libraries.
    pub glibc_2_34: bool,
}

/// Reads a file's headers, and of the rest only what they point to.
pub fn read(path: &Path) -> Result<Elf, ImageError> {
    let file = File::open(path).map_err(|source| ImageError::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&ReadCache::new(file)).map_err(|error| ImageError::NoProgram {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

fn parse(data: &ReadCache<File>) -> object::read::Result<Elf> {
    let file = ElfFile64::<Endianness, _>::parse(data)?;
    let endian = file.endian();
    let mut interpreter = None;
    for segment in file.elf_program_headers() {
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter = Some(PathBuf::from(text(path)));
        }
    }
    let table = file.elf_dynamic_table()?;
    let strings = |tag: i64| -> object::read::Result<Vec<String>> {
        let entries = table.iter().filter(|entry| entry.tag == tag);
        entries.map(|entry| table.string(entry).map(text)).collect()
    };
    let folders = |tag: i64| -> object::read::Result<Vec<String>> {
        let lists = strings(tag)?;
        let folders = lists.iter().flat_map(|list| list.split(':'));
        Ok(folders.filter(|folder| !folder.is_empty()).map(str::to_owned).collect())
    };
    let names = match file.section_by_name(".dynstr") {
        Some(section) => section.data()?,
        None => &[],
    };
    Ok(Elf {
        machine: file.elf_header().e_machine(endian),
        little_endian: file.is_little_endian(),
        interpreter,
        needed: strings(elf::DT_NEEDED)?,
        rpath: folders(elf::DT_RPATH)?,
        runpath: folders(elf::DT_RUNPATH)?,
        glibc_2_34: names.split(|byte| *byte == 0).any(|name| name == b"GLIBC_2.34"),
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
