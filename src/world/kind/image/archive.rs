//! The archive: an OCI image layout in a tar, with docker's `manifest.json` beside it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use object::elf::{EM_AARCH64, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64};
use oci_spec::OciSpecError;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, Descriptor, DescriptorBuilder, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder,
    SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;
use serde_json::json;
use tar::{Builder, EntryType};

use super::elf::Elf;
use super::layer::{Hashed, Layer, USER, digest, header};
use super::{ImageError, PROGRAM, REPOSITORY};

/// The name under which containerd keeps what it imports.
const ANNOTATION_IMAGE_NAME: &str = "io.containerd.image.name";
/// Digits of the digest that the tag has.
const TAG: usize = 12;
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An ELF machine's name among images.
pub fn architecture(program: &Elf) -> Option<Arch> {
    match (program.machine, program.little_endian) {
        (EM_X86_64, _) => Some(Arch::Amd64),
        (EM_AARCH64, true) => Some(Arch::ARM64),
        (EM_PPC64, true) => Some(Arch::PowerPC64le),
        (EM_RISCV, _) => Some(Arch::RISCV64),
        (EM_S390, _) => Some(Arch::s390x),
        _ => None,
    }
}

/// All that describes the layer.
pub struct Documents {
    pub name: String,
    /// The manifest's.
    pub digest: String,
    /// Paths in the archive and their bytes.
    files: Vec<(String, Vec<u8>)>,
}

impl Documents {
    pub fn new(layer: &Layer, architecture: Arch) -> Result<Documents, ImageError> {
        let config = config(layer, &architecture)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(descriptor(
                MediaType::ImageConfig,
                &digest(&config),
                config.len() as u64,
            )?)
            .layers([descriptor(MediaType::ImageLayer, &layer.digest, layer.size)?])
            .build()?;
        let manifest = bytes(&manifest)?;
        let digest_of_manifest = digest(&manifest);
        let tag = &digest_of_manifest[..TAG];
        let name = format!("{REPOSITORY}:{tag}");
        let mut entry = descriptor(MediaType::ImageManifest, &digest_of_manifest, manifest.len() as u64)?;
        entry.set_platform(Some(
            PlatformBuilder::default()
                .architecture(architecture)
                .os(Os::Linux)
                .build()?,
        ));
        let annotations = [(ANNOTATION_IMAGE_NAME, name.as_str()), (ANNOTATION_REF_NAME, tag)];
        let owned = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        entry.set_annotations(Some(owned.into()));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests([entry])
            .build()?;
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        let docker = json!([{
            "Config": blob(&digest(&config)),
            "RepoTags": [&name],
            "Layers": [blob(&layer.digest)],
        }]);
        let files = vec![
            ("oci-layout".to_owned(), bytes(&layout)?),
            ("index.json".to_owned(), bytes(&index)?),
            ("manifest.json".to_owned(), bytes(&docker)?),
            (blob(&digest(&config)), config),
            (blob(&digest_of_manifest), manifest),
        ];
        Ok(Documents {
            name,
            digest: format!("sha256:{digest_of_manifest}"),
            files,
        })
    }
}

/// How a container of the image runs. A terminal hands a shell to whoever has
/// the token, so not as root; by number, since the kubelet can tell only of a
/// number that it is not root (`runAsNonRoot`).
fn config(layer: &Layer, architecture: &Arch) -> Result<Vec<u8>, ImageError> {
    let run = ConfigBuilder::default()
        .user(format!("{USER}:{USER}"))
        .env([PATH.to_owned()])
        .entrypoint([PROGRAM.to_owned()])
        .working_dir("/")
        .build()?;
    let root = RootFsBuilder::default()
        .typ("layers")
        .diff_ids([format!("sha256:{}", layer.digest)])
        .build()?;
    let config = ImageConfigurationBuilder::default()
        .architecture(architecture.clone())
        .os(Os::Linux)
        .config(run)
        .rootfs(root)
        .build()?;
    bytes(&config)
}

fn descriptor(kind: MediaType, digest: &str, size: u64) -> Result<Descriptor, OciSpecError> {
    DescriptorBuilder::default()
        .media_type(kind)
        .digest(digest.parse::<Sha256Digest>()?)
        .size(size)
        .build()
}

fn blob(digest: &str) -> String {
    format!("blobs/sha256/{digest}")
}

/// JSON whose keys are sorted: maps of the documents have no order of their own.
fn bytes(document: &impl Serialize) -> Result<Vec<u8>, ImageError> {
    let mut value = serde_json::to_value(document).map_err(OciSpecError::from)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value).map_err(OciSpecError::from)?)
}

/// Writes the archive; returns its size.
pub fn write(layer: &Layer, documents: &Documents, out: impl Write) -> io::Result<u64> {
    let mut counted = Counted { out, size: 0 };
    let mut tar = Builder::new(&mut counted);
    for (path, bytes) in &documents.files {
        tar.append_data(
            &mut header(EntryType::Regular, 0o644, bytes.len() as u64),
            path,
            &bytes[..],
        )?;
    }
    // The layer is written behind its header by itself: it comes from a writer, and the crate asks for a reader.
    let mut header = header(EntryType::Regular, 0o644, layer.size);
    header.set_path(blob(&layer.digest))?;
    header.set_cksum();
    let out = tar.get_mut();
    out.write_all(header.as_bytes())?;
    let mut hashed = Hashed::new(&mut *out);
    layer.write(&mut hashed)?;
    let (digest, size) = hashed.end();
    if (&digest, size) != (&layer.digest, layer.size) {
        let path = layer.program();
        return Err(io::Error::other(ImageError::Changed { path }));
    }
    // A layer is a tar itself: its size is a multiple of a block's, and nothing is to fill.
    tar.finish()?;
    drop(tar);
    counted.out.flush()?;
    Ok(counted.size)
}

struct Counted<W> {
    out: W,
    size: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Puts a file in a place once it is written as a whole; its folder is made. What is no regular file
/// (`/dev/stdout`, a FIFO) is written to as it is.
pub fn replace<T>(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<T, ImageError>) -> Result<T, ImageError> {
    let unwritten = |error: io::Error| super::explain(error, &path.display().to_string());
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let mut file = File::options().write(true).open(path).map_err(unwritten)?;
        return fill(&mut file);
    }
    let name = path
        .file_name()
        .ok_or_else(|| unwritten(io::ErrorKind::IsADirectory.into()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritten)?;
    }
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(hidden);
    let written = File::create(&temporary).map_err(unwritten).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let filled = fill(&mut out)?;
        let file = out.into_inner().map_err(|error| unwritten(error.into_error()))?;
        file.sync_all().map_err(unwritten)?;
        fs::rename(&temporary, path).map_err(unwritten)?;
        Ok(filled)
    });
    if written.is_err() {
        // It may not have come to be; the first error is the one to tell of.
        let _removed = fs::remove_file(&temporary);
    }
    written
}
