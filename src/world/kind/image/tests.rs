//! Images of this test program, of small files, and of files that aren't programs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::layer::digest;
use super::libraries::System;
use super::{Image, ImageError, PROGRAM, archive, elf, libraries, programs};

fn this() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A small program: hashing this one takes long where nothing is optimized.
fn small() -> PathBuf {
    fs::canonicalize("/bin/sh").unwrap()
}

/// The files of a tar.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (0, 0));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), content)
    });
    entries.collect()
}

fn json(files: &BTreeMap<String, Vec<u8>>, path: &str) -> Value {
    serde_json::from_slice(&files[path]).unwrap()
}

#[test]
fn the_archive_is_what_its_documents_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/platform.tar");
    let image = Image::of(&small()).unwrap();
    let size = image.write(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len() as u64, size);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    let files = unpacked(&bytes);
    for (name, content) in &files {
        if let Some(expected) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(digest(content), expected);
        }
    }
    assert_eq!(json(&files, "oci-layout")["imageLayoutVersion"], "1.0.0");
    let entry = &json(&files, "index.json")["manifests"][0];
    assert_eq!(entry["digest"], image.digest());
    assert_eq!(entry["annotations"]["io.containerd.image.name"], image.name());
    assert_eq!(entry["platform"]["os"], "linux");
    let blob = |digest: &Value| digest.as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let manifest = json(&files, &blob(&entry["digest"]));
    let config = json(&files, &blob(&manifest["config"]["digest"]));
    assert_eq!(config["config"]["Entrypoint"][0], PROGRAM);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    let docker = &json(&files, "manifest.json")[0];
    assert_eq!(docker["RepoTags"][0], image.name());
    assert_eq!(docker["Config"], blob(&manifest["config"]["digest"]));
    let layer = unpacked(&files[docker["Layers"][0].as_str().unwrap()]);
    assert!(layer["usr/bin/gauntlet"] == fs::read(small()).unwrap());
    assert!(layer.contains_key("tmp/") && layer.contains_key("bin/sh") && layer.contains_key("etc/passwd"));
    assert!(layer.keys().is_sorted());
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let written = || {
        let image = Image::of(&small()).unwrap();
        let mut bytes = Vec::new();
        image.write_to(&mut bytes, "memory").unwrap();
        (image.name().to_owned(), digest(&bytes))
    };
    assert_eq!(written(), written());
}

#[test]
fn a_dynamic_program_comes_with_all_that_it_loads() {
    let program = elf::read(&this()).unwrap();
    let closure = libraries::closure(&program, &this(), Path::new(PROGRAM), &System::here()).unwrap();
    let images: Vec<&Path> = closure.files.iter().map(|found| found.image.as_path()).collect();
    assert_eq!(images.first().copied(), program.interpreter.as_deref());
    // The loader itself tells what it has loaded for this very process.
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let Some(loaded) = line.split_whitespace().nth(5).filter(|path| path.contains(".so")) else {
            continue;
        };
        let known =
            |found: &libraries::Found| fs::canonicalize(&found.host).is_ok_and(|path| path == Path::new(loaded));
        assert!(closure.files.iter().any(known), "{loaded} is not in {images:?}");
    }
}

#[test]
fn the_machines_shell_and_programs_come_along_under_their_names() {
    let image = Image::of(&small()).unwrap();
    let mut bytes = Vec::new();
    image.write_to(&mut bytes, "memory").unwrap();
    let files = unpacked(&bytes);
    let docker = &json(&files, "manifest.json")[0];
    let layer = &files[docker["Layers"][0].as_str().unwrap()];
    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(layer.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let path = Path::new("/").join(entry.path().unwrap());
        entries.insert(path, entry.link_name().unwrap().map(|to| to.into_owned()));
    }
    for name in [
        "awk", "cat", "chmod", "env", "ls", "mkdir", "mv", "printenv", "rm", "sh", "sleep", "stat", "stty", "tr",
        "truncate",
    ] {
        for folder in ["/bin", "/usr/bin"] {
            let path = Path::new(folder).join(name);
            let file = entries.get(&path).unwrap_or_else(|| panic!("no {}", path.display()));
            let file = file.as_deref().unwrap_or(&path);
            assert_eq!(entries.get(file), Some(&None), "{} leads to no file", path.display());
            let program = elf::read(&fs::canonicalize(&path).unwrap()).unwrap();
            assert!(program.interpreter.is_none_or(|loader| entries.contains_key(&loader)));
        }
    }
}

#[test]
fn a_codex_comes_along_on_the_path_of_containers() {
    // Any program of this machine.
    let codex = fs::canonicalize("/bin/sh").unwrap();
    let (plain, image) = (
        Image::of(&small()).unwrap(),
        Image::with_codex(&small(), &codex).unwrap(),
    );
    assert_ne!(plain.name(), image.name());
    let mut bytes = Vec::new();
    image.write_to(&mut bytes, "memory").unwrap();
    let files = unpacked(&bytes);
    let docker = &json(&files, "manifest.json")[0];
    let layer = &files[docker["Layers"][0].as_str().unwrap()];
    let mut entries = tar::Archive::new(layer.as_slice());
    let path = |entry: tar::Entry<'_, &[u8]>| entry.path().unwrap().into_owned();
    let mut paths = entries.entries().unwrap().map(|entry| path(entry.unwrap()));
    assert!(paths.any(|path| path == Path::new("usr/local/bin/codex")));

    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("codex");
    fs::write(&script, "#!/usr/bin/env node\n").unwrap();
    let error = Image::with_codex(&small(), &script).map(|_| ()).unwrap_err();
    assert!(matches!(error, ImageError::NoProgram { .. }), "{error}");
}

#[test]
fn a_program_that_is_not_there_is_named_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let error = programs::parts(0, &System::at(empty.path())).map(|_| ()).unwrap_err();
    let root = empty.path().display();
    assert_eq!(
        error.to_string(),
        format!(
            "making the platform's image: the program awk is in neither of {root}/usr/bin and {root}/bin; \
             install it, or name an image that has it with --base-image"
        )
    );
    let error = programs::parts(0, &System::here()).map(|_| ()).unwrap_err();
    assert!(matches!(error, ImageError::OtherMachine { .. }), "{error}");
}

#[test]
fn a_library_that_is_not_there_is_named_with_who_needs_it() {
    let empty = tempfile::tempdir().unwrap();
    let error = Image::with(&this(), None, &System::at(empty.path()))
        .map(|_| ())
        .unwrap_err();
    let ImageError::Library {
        name,
        needed_by,
        searched,
    } = &error
    else {
        panic!("{error}")
    };
    assert!(elf::read(&this()).unwrap().needed.contains(name));
    assert_eq!(*needed_by, this());
    assert!(searched.contains("etc/ld.so.cache"), "{searched}");
    assert!(error.to_string().contains("install it"), "{error}");
}

#[test]
fn what_is_no_program_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let said = |path: &Path| Image::of(path).map(|_| ()).unwrap_err().to_string();
    let missing = folder.path().join("missing");
    assert!(said(&missing).starts_with(&format!(
        "making the platform's image: reading {}: No such file",
        missing.display()
    )));
    let text = folder.path().join("text");
    fs::write(&text, "#!/bin/sh\n".repeat(10)).unwrap();
    assert!(
        said(&text).contains("text isn't a 64-bit Linux program: "),
        "{}",
        said(&text)
    );
}

#[test]
fn a_full_disk_is_told_with_the_path() {
    let image = Image::of(&small()).unwrap();
    let error = image.write(Path::new("/dev/full")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "writing the platform's image to /dev/full: there is no space left on its disk"
    );
}

#[test]
fn a_binary_that_changes_meanwhile_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("gauntlet");
    fs::copy(small(), &binary).unwrap();
    let image = Image::of(&binary).unwrap();
    let path = folder.path().join("image.tar");
    for more in ["longer", ""] {
        let mut bytes = fs::read(small()).unwrap();
        bytes.extend(more.as_bytes());
        // One byte of the file's middle, of which nothing reads a meaning.
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&binary, bytes).unwrap();
        let error = image.write(&path).unwrap_err();
        assert!(
            matches!(&error, ImageError::Changed { path } if *path == binary),
            "{error}"
        );
        assert!(!path.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn architectures() {
    let mut program = elf::read(&this()).unwrap();
    assert!(archive::architecture(&program).is_some());
    program.machine = 0;
    assert!(archive::architecture(&program).is_none());
}
