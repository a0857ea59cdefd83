//! The image of the reference platform, made of gauntlet's own binary: no
//! registry, no pull, no `docker build`.
//!
//! One layer holds the binary, this machine's shell and a few small programs,
//! the libraries that they need (found as the system's loader finds them, from
//! the ELF files alone), and what the C library looks up names with. The same
//! files give the same bytes, and the image's name carries their digest: a
//! cluster that has the name has the image.

mod archive;
mod elf;
mod layer;
mod libraries;
mod programs;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use layer::{Content, Layer};

/// The image's name without its tag. Of this host nothing is ever pulled.
pub const REPOSITORY: &str = "localhost/gauntlet/platform";

/// Where the binary is in the image.
pub const PROGRAM: &str = "/usr/bin/gauntlet";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("making the platform's image: reading {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("making the platform's image: {} isn't a 64-bit Linux program: {why}", path.display())]
    NoProgram { path: PathBuf, why: String },
    #[error(
        "making the platform's image: {} is for a machine (ELF number {machine}) that has no image architecture; \
         the platform's image can be made of gauntlet for amd64, arm64, ppc64le, riscv64 or s390x",
        path.display()
    )]
    Machine { path: PathBuf, machine: u16 },
    #[error(
        "making the platform's image: {} needs the library {name}, which is in none of {searched} \
         (LD_LIBRARY_PATH is not looked at); install it, or use a gauntlet that is linked statically \
         (cargo build --target x86_64-unknown-linux-musl)",
        needed_by.display()
    )]
    Library {
        name: String,
        needed_by: PathBuf,
        searched: String,
    },
    #[error(
        "making the platform's image: the program {name} is in neither of {searched}; \
         install it, or name an image that has it with --base-image"
    )]
    Program { name: &'static str, searched: String },
    #[error(
        "making the platform's image: {} is for another kind of machine than gauntlet; \
         install this machine's, or name an image that has it with --base-image",
        path.display()
    )]
    OtherMachine { path: PathBuf },
    #[error(
        "making the platform's image: {} changed while it was read; try again when it is built or installed",
        path.display()
    )]
    Changed { path: PathBuf },
    #[error("making the platform's image: its description: {0}")]
    Description(#[from] oci_spec::OciSpecError),
    #[error("writing the platform's image to {to}: {why}")]
    Write { to: String, why: String },
}

/// An image whose parts and digest are known, ready to be written.
pub struct Image {
    layer: Layer,
    documents: archive::Documents,
}

impl Image {
    /// An image of a gauntlet binary, usually the running one (`std::env::current_exe`).
    /// Reads all that goes in once, for the digest.
    pub fn of(binary: &Path) -> Result<Image, ImageError> {
        Image::with(binary, None, &libraries::System::here())
    }

    /// The same with the codex CLI, a program of this machine, on the `PATH` of containers.
    pub fn with_codex(binary: &Path, codex: &Path) -> Result<Image, ImageError> {
        Image::with(binary, Some(codex), &libraries::System::here())
    }

    fn with(binary: &Path, codex: Option<&Path>, system: &libraries::System) -> Result<Image, ImageError> {
        let program = elf::read(binary)?;
        let architecture = archive::architecture(&program).ok_or_else(|| ImageError::Machine {
            path: binary.to_owned(),
            machine: program.machine,
        })?;
        let closure = libraries::closure(&program, binary, Path::new(PROGRAM), system)?;
        let mut parts = layer::fixed();
        parts.insert(PROGRAM.into(), Content::of_file(binary, 0o755)?);
        let (programs, mut by_cache) = programs::parts(program.machine, system)?;
        parts.extend(programs);
        if let Some(codex) = codex {
            let (files, codex_by_cache) = programs::codex(codex, program.machine, system)?;
            parts.extend(files);
            by_cache |= codex_by_cache;
        }
        for found in closure.files {
            parts.insert(found.image, Content::of_file(&found.host, 0o755)?);
        }
        if closure.by_cache || by_cache {
            parts.insert(
                "/etc/ld.so.cache".into(),
                Content::of_file(&system.cache_file(), 0o644)?,
            );
        }
        let layer = Layer::new(parts)?;
        let documents = archive::Documents::new(&layer, architecture)?;
        Ok(Image { layer, documents })
    }

    /// The name that pods use: `localhost/gauntlet/platform:` and the first 12 hexadecimal digits of its digest.
    pub fn name(&self) -> &str {
        &self.documents.name
    }

    /// The digest of its manifest, as `sha256:…`.
    pub fn digest(&self) -> &str {
        &self.documents.digest
    }

    /// Writes an archive that `kind load image-archive`, `ctr images import` and `docker load` take.
    /// The file is there whole or not at all. Gives its size.
    pub fn write(&self, path: &Path) -> Result<u64, ImageError> {
        archive::replace(path, |out| self.write_to(out, &path.display().to_string()))
    }

    /// Writes the archive where it need not be a file, as to `ctr images import -`; `to` names that place in errors.
    pub fn write_to(&self, out: impl io::Write, to: &str) -> Result<u64, ImageError> {
        archive::write(&self.layer, &self.documents, out).map_err(|error| explain(error, to))
    }
}

/// An error of reading that came out of the writer is itself; all others are the writer's.
fn explain(error: io::Error, to: &str) -> ImageError {
    match error.downcast::<ImageError>() {
        Ok(own) => own,
        Err(error) => ImageError::Write {
            to: to.to_owned(),
            why: match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "there is no space left on its disk".into()
                }
                io::ErrorKind::PermissionDenied => "its folder may not be written to".into(),
                _ => error.to_string(),
            },
        },
    }
}
