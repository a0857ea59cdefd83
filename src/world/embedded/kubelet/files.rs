//! The files of `configMap` and `secret` volumes.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::SetUpError;
use super::volumes::{Volume, kind};
use crate::world::embedded::error::ApiError;
use crate::world::embedded::kinds::Kind;
use crate::world::embedded::object::{Object, items, random_suffix, text};
use crate::world::embedded::store::Store;

/// The mode of a file that no mode is wanted for.
const MODE: u32 = 0o644;

/// The link through which files are reached, so that all change at once.
const DATA: &str = "..data";

/// Files by their path in the volume: content and mode.
pub type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

/// The files that a `configMap` or `secret` volume is to have.
///
/// # Errors
/// What the kubelet says: an object or a key that isn't there and isn't optional.
pub fn wanted(store: &Store, namespace: &str, volume: &Value) -> Result<Files, SetUpError> {
    let (what, name) = match kind(volume) {
        "secret" => (Kind::Secret, "secretName"),
        _ => (Kind::ConfigMap, "name"),
    };
    let source = &volume[kind(volume)];
    let optional = source["optional"] == true;
    let object = match store.get(what, namespace, text(&source[name])) {
        Ok(object) => object,
        Err(_) if optional => return Ok(Files::new()),
        Err(error) => return Err(SetUpError::Missing(error)),
    };
    let data = content(what, &object)?;
    let default = mode(&source["defaultMode"]).unwrap_or(MODE);
    if items(&source["items"]).next().is_none() {
        return Ok(data
            .into_iter()
            .map(|(key, bytes)| (PathBuf::from(key), (bytes, default)))
            .collect());
    }
    let mut files = Files::new();
    for item in items(&source["items"]) {
        let key = text(&item["key"]);
        match data.get(key) {
            Some(bytes) => {
                let mode = mode(&item["mode"]).unwrap_or(default);
                files.insert(PathBuf::from(text(&item["path"])), (bytes.clone(), mode));
            }
            None if optional => {}
            None => return Err(SetUpError::NoFile { key: key.to_owned() }),
        }
    }
    Ok(files)
}

fn mode(mode: &Value) -> Option<u32> {
    mode.as_u64().and_then(|mode| u32::try_from(mode).ok())
}

/// The values of an object's keys.
fn content(kind: Kind, object: &Value) -> Result<BTreeMap<String, Vec<u8>>, SetUpError> {
    let mut content = BTreeMap::new();
    for (field, encoded) in [("data", kind == Kind::Secret), ("binaryData", true)] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let value = text(value);
            let bytes = if encoded {
                STANDARD.decode(value).map_err(|source| SetUpError::NotBase64 {
                    key: key.clone(),
                    source,
                })?
            } else {
                value.as_bytes().to_vec()
            };
            content.insert(key.clone(), bytes);
        }
    }
    Ok(content)
}

/// Makes `folder` hold exactly these files, at once for who reads it, as the kubelet does: each is a link
/// through `..data` into a folder of its own version.
///
/// # Errors
/// If the machine refuses.
pub fn write(folder: &Path, files: &Files) -> io::Result<()> {
    let version = format!("..{}", random_suffix(10));
    fs::create_dir(folder.join(&version))?;
    for (path, (bytes, mode)) in files {
        let file = folder.join(&version).join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, bytes)?;
        fs::set_permissions(&file, Permissions::from_mode(*mode))?;
    }
    let before = fs::read_link(folder.join(DATA)).ok();
    let next = folder.join(format!("{version}_link"));
    symlink(&version, &next)?;
    fs::rename(&next, folder.join(DATA))?;
    let visible: BTreeSet<&OsStr> = files.keys().filter_map(|path| path.iter().next()).collect();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let stale = entry.file_type()?.is_symlink() && !visible.contains(&*entry.file_name());
        if stale && entry.file_name() != DATA {
            fs::remove_file(entry.path())?;
        }
    }
    for name in visible {
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    if let Some(before) = before {
        fs::remove_dir_all(folder.join(before))?;
    }
    Ok(())
}

/// Writes a pod's files anew whenever their object changes. Never ends.
pub async fn renew(store: &Arc<Store>, pod: &Object, volumes: &mut BTreeMap<String, Volume>) -> Infallible {
    if volumes.values().all(|volume| volume.files.is_none()) {
        return std::future::pending().await;
    }
    loop {
        // From the version before they are read, so that no change is between.
        let version = store.version();
        for spec in items(&pod["spec"]["volumes"]) {
            let Some(volume) = volumes.get_mut(text(&spec["name"])) else {
                continue;
            };
            let Some(written) = &mut volume.files else { continue };
            // An object that is gone leaves its files, as it does with the kubelet.
            if let Ok(wanted) = wanted(store, pod.namespace(), spec)
                && wanted != *written
                && write(&volume.folder, &wanted).is_ok()
            {
                *written = wanted;
            }
        }
        // What is too old to be waited for has happened.
        let _ = changed(store, version).await;
    }
}

/// Waits until something that a volume is made of changes after `version`.
///
/// # Errors
/// If what happened since is forgotten.
pub async fn changed(store: &Arc<Store>, version: u64) -> Result<(), ApiError> {
    let mut secrets = store.changes(Kind::Secret, version)?;
    let mut maps = store.changes(Kind::ConfigMap, version)?;
    let mut claims = store.changes(Kind::PersistentVolumeClaim, version)?;
    tokio::select! {
        secrets = secrets.next() => secrets.map(drop),
        maps = maps.next() => maps.map(drop),
        claims = claims.next() => claims.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(of: &[(&str, &str, u32)]) -> Files {
        of.iter()
            .map(|(path, text, mode)| (PathBuf::from(path), (text.as_bytes().to_vec(), *mode)))
            .collect()
    }

    #[test]
    fn a_folder_holds_exactly_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let read = |path: &str| fs::read_to_string(folder.join(path)).ok();
        write(folder, &files(&[("run", "1", 0o755), ("deep/er/x", "x", 0o400)])).unwrap();
        assert_eq!(read("run").as_deref(), Some("1"));
        assert_eq!(read("deep/er/x").as_deref(), Some("x"));
        let mode = |path: &str| fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("run"), mode("deep/er/x")), (0o755, 0o400));

        write(folder, &files(&[("run", "2", 0o644), ("new", "", 0o644)])).unwrap();
        assert_eq!((read("run").as_deref(), mode("run")), (Some("2"), 0o644));
        assert_eq!(read("new").as_deref(), Some(""));
        let mut left: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with(".."))
            .collect();
        left.sort();
        assert_eq!(left, ["new", "run"]);
        // Only `..data` and what it leads to.
        assert_eq!(fs::read_dir(folder).unwrap().count(), 4);
    }
}
