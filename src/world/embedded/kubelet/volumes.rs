//! Pods' volumes: real folders of this machine.
//!
//! `emptyDir` is a folder of the pod and goes with it; `persistentVolumeClaim` is one of the claim and goes
//! with that; `configMap` and `secret` are folders of the pod with a file for each key, renewed when the
//! object changes (at once, where a real kubelet takes its time). All lie below one folder that only this
//! user can read and that goes with the cluster. A pod with a volume of another type waits for ever.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use super::claims::Claims;
use super::error::SetUpError;
use super::files::{self, Files};
use crate::platform::Mounts;
use crate::world::embedded::object::{Object, items, text};
use crate::world::embedded::store::Store;

/// The folders of all volumes of the cluster.
#[derive(Default)]
pub struct Volumes {
    /// Made with the first volume: most clusters have none.
    root: Mutex<Option<TempDir>>,
    pub claims: Claims,
}

/// A volume of a pod.
pub struct Volume {
    pub folder: PathBuf,
    /// The files of a ConfigMap or a secret, as they were written.
    pub files: Option<Files>,
}

impl Volumes {
    fn root(&self) -> io::Result<PathBuf> {
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = &*root {
            return Ok(root.path().to_owned());
        }
        let made = tempfile::Builder::new()
            .prefix("gauntlet-volumes-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let path = made.path().to_owned();
        *root = Some(made);
        Ok(path)
    }

    /// A folder below the root; `kind` says whose, `of` by uid.
    fn folder(&self, kind: &str, of: &str) -> io::Result<PathBuf> {
        let folder = self.root()?.join(kind).join(of);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Makes the volumes of a pod, also again where an earlier try came only so far.
    ///
    /// # Errors
    /// The kubelet's Event: which volume can't be mounted yet, and why.
    pub fn set_up(&self, store: &Store, pod: &Object) -> Result<BTreeMap<String, Volume>, SetUpError> {
        let mut volumes = BTreeMap::new();
        for spec in items(&pod["spec"]["volumes"]) {
            let name = text(&spec["name"]);
            let volume = self.volume(store, pod, spec).map_err(|source| SetUpError::Volume {
                volume: name.to_owned(),
                source: Box::new(source),
            })?;
            volumes.insert(name.to_string(), volume);
        }
        Ok(volumes)
    }

    fn volume(&self, store: &Store, pod: &Object, spec: &Value) -> Result<Volume, SetUpError> {
        let own = |what: &str| {
            self.folder("pods", &format!("{}/{}", pod.uid(), text(&spec["name"])))
                .map_err(|source| SetUpError::machine(format!("making a folder for {what}"), source))
        };
        match kind(spec) {
            "emptyDir" => Ok(Volume {
                folder: own("it")?,
                files: None,
            }),
            "persistentVolumeClaim" => {
                let claim = text(&spec["persistentVolumeClaim"]["claimName"]);
                let uid = self.claims.take(store, pod, claim)?;
                let folder = self
                    .folder("claims", &uid)
                    .map_err(|source| SetUpError::machine(format!("making a folder for claim {claim}"), source))?;
                Ok(Volume { folder, files: None })
            }
            "configMap" | "secret" => {
                let files = files::wanted(store, pod.namespace(), spec)?;
                let folder = own("its files")?;
                files::write(&folder, &files).map_err(|source| SetUpError::machine("writing its files", source))?;
                Ok(Volume {
                    folder,
                    files: Some(files),
                })
            }
            other => Err(SetUpError::VolumeType { kind: other.to_owned() }),
        }
    }

    /// Removes the volumes that are a pod's own.
    pub async fn remove_pod(&self, uid: &str) {
        self.remove("pods", uid).await;
    }

    /// Removes the volume of a claim.
    pub async fn remove_claim(&self, uid: &str) {
        self.remove("claims", uid).await;
    }

    async fn remove(&self, kind: &str, of: &str) {
        let folder = {
            let root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
            root.as_ref().map(|root| root.path().join(kind).join(of))
        };
        if let Some(folder) = folder.filter(|folder| folder.exists()) {
            // There may be much in it. What is in the way of removal goes with the cluster.
            let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(folder)).await;
        }
    }
}

/// The type of a volume: the one field beside its name. One that says none is an `emptyDir`.
pub fn kind(spec: &Value) -> &str {
    spec.as_object()
        .into_iter()
        .flatten()
        .find(|(field, value)| *field != "name" && !value.is_null())
        .map_or("emptyDir", |(field, _)| field.as_str())
}

/// Where the mount paths of a container lead. `readOnly` is nothing that a folder could keep: it is left aside.
///
/// # Errors
/// If a `subPath` isn't there and can't be made.
pub fn mounts(volumes: &BTreeMap<String, Volume>, container: &Value) -> Result<Mounts, SetUpError> {
    let mut mounts = Vec::new();
    for mount in items(&container["volumeMounts"]) {
        let (name, path) = (text(&mount["name"]), text(&mount["mountPath"]));
        // That each mount has a volume was checked when the pod was made.
        let Some(volume) = volumes.get(name) else { continue };
        let real = at(&volume.folder, text(&mount["subPath"])).map_err(|source| {
            SetUpError::machine(format!("failed to prepare subPath for volumeMount \"{name}\""), source)
        })?;
        mounts.push((path.to_string(), real));
    }
    Ok(Mounts::new(mounts))
}

/// A file or folder of a volume; what isn't there becomes a folder.
fn at(folder: &Path, sub_path: &str) -> io::Result<PathBuf> {
    if sub_path.is_empty() {
        return Ok(folder.to_owned());
    }
    let real = folder.join(sub_path);
    if !real.exists() {
        fs::create_dir_all(&real)?;
    }
    Ok(real)
}
