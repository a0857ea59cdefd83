//! The objects of the cluster, and every change to them in order.
//!
//! All writes go through here: they number versions, find conflicts, keep what
//! clients may not change, and wake the watchers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

use super::admission;
use super::error::ApiError;
use super::kinds::Kind;
use super::object::{self, Object, items, text};

mod changes;
mod types;

pub use changes::Changes;
pub use types::{Change, DeleteOptions, Deleted, Key, Part, Propagation, Verb};

/// How many changes of a kind are remembered for watchers that are behind.
const HISTORY: usize = 4096;

pub struct Store {
    inner: Mutex<Inner>,
    /// By kind: the version of its last change.
    changed: Vec<watch::Sender<u64>>,
    /// What the garbage collector has to look at.
    garbage: mpsc::UnboundedSender<Arc<Object>>,
}

struct Inner {
    version: u64,
    tables: Vec<Table>,
    uids: HashMap<String, (Kind, Key)>,
}

#[derive(Default)]
struct Table {
    objects: BTreeMap<Key, Arc<Object>>,
    history: VecDeque<Change>,
    /// The version of the last change that is forgotten.
    forgotten: u64,
}

impl Store {
    /// An empty store, and the queue of what the garbage collector has to look at:
    /// objects that are gone, or that wait for what they own.
    pub fn new() -> (Arc<Store>, mpsc::UnboundedReceiver<Arc<Object>>) {
        let (garbage, queue) = mpsc::unbounded_channel();
        let store = Store {
            inner: Mutex::new(Inner {
                version: 0,
                tables: Kind::ALL.iter().map(|_| Table::default()).collect(),
                uids: HashMap::new(),
            }),
            changed: Kind::ALL.iter().map(|_| watch::Sender::new(0)).collect(),
            garbage,
        };
        (Arc::new(store), queue)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every write is complete before the lock is let go, so a poisoned one holds good data.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Arc<Object>, ApiError> {
        let key = (namespace.to_string(), name.to_string());
        let inner = self.lock();
        inner.tables[kind as usize]
            .objects
            .get(&key)
            .cloned()
            .ok_or_else(|| ApiError::not_found(kind, name))
    }

    /// The objects that `wanted` accepts, by namespace and name, and the version that they are as of.
    pub fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        mut wanted: impl FnMut(&Object) -> bool,
    ) -> (Vec<Arc<Object>>, u64) {
        let inner = self.lock();
        let objects = &inner.tables[kind as usize].objects;
        let found = match namespace {
            Some(namespace) => objects
                .range((namespace.to_string(), String::new())..)
                .take_while(|((of, _), _)| of == namespace)
                .map(|(_, object)| object)
                .filter(|object| wanted(object))
                .cloned()
                .collect(),
            None => objects.values().filter(|object| wanted(object)).cloned().collect(),
        };
        (found, inner.version)
    }

    /// The version of the last change.
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// The object with this uid, of whatever kind.
    pub fn by_uid(&self, uid: &str) -> Option<(Kind, Arc<Object>)> {
        let inner = self.lock();
        let (kind, key) = inner.uids.get(uid)?;
        Some((*kind, inner.tables[*kind as usize].objects.get(key)?.clone()))
    }

    /// The objects that name `uid` as an owner.
    pub fn owned_by(&self, uid: &str) -> Vec<(Kind, Arc<Object>)> {
        let inner = self.lock();
        let mut found = Vec::new();
        for kind in Kind::ALL {
            for object in inner.tables[kind as usize].objects.values() {
                if object::owners(object).any(|owner| owner["uid"] == uid) {
                    found.push((kind, object.clone()));
                }
            }
        }
        found
    }

    /// Makes an object. `namespace` is empty for kinds outside of namespaces.
    pub fn create(&self, kind: Kind, namespace: &str, mut value: Value) -> Result<Arc<Object>, ApiError> {
        let name = admission::create(kind, namespace, &mut value)?;
        let mut inner = self.lock();
        if kind.facts().namespaced {
            let home = (String::new(), namespace.to_string());
            match inner.tables[Kind::Namespace as usize].objects.get(&home) {
                None => return Err(ApiError::not_found(Kind::Namespace, namespace)),
                Some(home) if home.deleting() => {
                    return Err(ApiError::new(
                        403,
                        "Forbidden",
                        format!(
                            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
                            kind.resource()
                        ),
                    ));
                }
                Some(_) => {}
            }
        }
        let key = (namespace.to_string(), name);
        if inner.tables[kind as usize].objects.contains_key(&key) {
            return Err(ApiError::already_exists(kind, &key.1));
        }
        let metadata = &mut value["metadata"];
        metadata["uid"] = object::new_uid().into();
        metadata["creationTimestamp"] = object::time(Timestamp::now()).into();
        if kind.facts().generation {
            metadata["generation"] = 1.into();
        }
        let owned = metadata["ownerReferences"].is_array();
        let object = self.commit(&mut inner, kind, key, Verb::Added, value);
        drop(inner);
        if owned {
            // An owner that is already gone never comes up as garbage again.
            self.collect(&object);
        }
        Ok(object)
    }

    /// Changes an object: `change` gets the current version and says the next one.
    ///
    /// Conflict if the next one carries a `resourceVersion` or `uid` that isn't the current one's.
    pub fn update(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        part: Part,
        change: impl FnOnce(&Value) -> Result<Value, ApiError>,
    ) -> Result<Arc<Object>, ApiError> {
        let key = (namespace.to_string(), name.to_string());
        let mut inner = self.lock();
        let Some(old) = inner.tables[kind as usize].objects.get(&key).cloned() else {
            return Err(ApiError::not_found(kind, name));
        };
        let mut new = change(&old)?;
        admission::update(kind, part, &old, &mut new)?;
        if new == **old {
            return Ok(old);
        }
        let metadata = &new["metadata"];
        let done = metadata["deletionTimestamp"].is_string()
            && !items(&metadata["finalizers"]).any(|_| true)
            && kind != Kind::Namespace
            && (kind != Kind::Pod || metadata["deletionGracePeriodSeconds"] == 0);
        let verb = if done { Verb::Deleted } else { Verb::Modified };
        let object = self.commit(&mut inner, kind, key, verb, new);
        drop(inner);
        if done {
            self.collect(&object);
        }
        Ok(object)
    }

    /// Deletes an object, or marks it where something has to happen first.
    pub fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, ApiError> {
        let key = (namespace.to_string(), name.to_string());
        let mut inner = self.lock();
        let Some(old) = inner.tables[kind as usize].objects.get(&key).cloned() else {
            return Err(ApiError::not_found(kind, name));
        };
        if options.uid.as_deref().is_some_and(|uid| uid != old.uid()) {
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                options.uid.as_deref().unwrap_or_default(),
                old.uid()
            );
            return Err(ApiError::conflict(kind, name, &why));
        }
        if let Some(version) = &options.resource_version
            && old["metadata"]["resourceVersion"] != version.as_str()
        {
            let why = format!(
                "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {}",
                text(&old["metadata"]["resourceVersion"])
            );
            return Err(ApiError::conflict(kind, name, &why));
        }
        let mut new = old.value().clone();
        let grace = admission::mark_deleted(kind, &mut new, options);
        let waits = items(&new["metadata"]["finalizers"]).any(|_| true);
        if grace > 0 || waits || kind == Kind::Namespace {
            if new == *old.value() {
                return Ok(Deleted::Marked(old));
            }
            let object = self.commit(&mut inner, kind, key, Verb::Modified, new);
            drop(inner);
            self.collect(&object);
            return Ok(Deleted::Marked(object));
        }
        let object = self.commit(&mut inner, kind, key, Verb::Deleted, new);
        drop(inner);
        if options.propagation == Propagation::Orphan {
            self.orphan(&object);
        }
        self.collect(&object);
        Ok(Deleted::Removed(object))
    }

    /// Removes an object whose end is over: a pod whose containers have ended, an empty namespace.
    /// Finalizers still hold it. Nothing happens if the object of that uid is gone.
    pub fn remove(&self, kind: Kind, object: &Object) {
        let options = DeleteOptions {
            grace_seconds: Some(0),
            uid: Some(object.uid().to_string()),
            ..DeleteOptions::default()
        };
        if kind != Kind::Namespace {
            // Gone or replaced by another of the same name: nothing is left to remove.
            let _ = self.delete(kind, object.namespace(), object.name(), &options);
            return;
        }
        let key = (String::new(), object.name().to_string());
        let mut inner = self.lock();
        let current = inner.tables[kind as usize].objects.get(&key);
        if let Some(current) = current.filter(|current| current.uid() == object.uid()).cloned() {
            self.commit(&mut inner, kind, key, Verb::Deleted, current.value().clone());
        }
    }

    /// Whether a namespace has nothing in it.
    pub fn is_empty(&self, namespace: &str) -> bool {
        let inner = self.lock();
        !inner
            .tables
            .iter()
            .any(|table| table.objects.keys().any(|(of, _)| of == namespace))
    }

    /// The changes of a kind after `version`, as they come. Gone if they are forgotten.
    pub fn changes(self: &Arc<Self>, kind: Kind, version: u64) -> Result<Changes, ApiError> {
        let table = &self.lock().tables[kind as usize];
        if version < table.forgotten {
            return Err(ApiError::gone(version, table.forgotten));
        }
        let wake = self.changed[kind as usize].subscribe();
        Ok(Changes::new(self.clone(), kind, version, wake))
    }

    /// Hands an object to the garbage collector.
    pub fn collect(&self, object: &Arc<Object>) {
        // Without a collector the cluster is ending, and everything with it.
        let _ = self.garbage.send(object.clone());
    }

    fn orphan(&self, owner: &Object) {
        for (kind, object) in self.owned_by(owner.uid()) {
            self.disown(kind, &object, owner.uid());
        }
    }

    /// Strikes `uid` from the owners of an object.
    pub fn disown(&self, kind: Kind, object: &Object, uid: &str) {
        // Gone meanwhile is as good.
        let _ = self.update(kind, object.namespace(), object.name(), Part::Main, |old| {
            let mut new = old.clone();
            if let Some(owners) = new["metadata"]["ownerReferences"].as_array_mut() {
                owners.retain(|owner| owner["uid"] != uid);
            }
            Ok(new)
        });
    }

    /// Numbers a version, puts it in its place and tells the watchers.
    fn commit(&self, inner: &mut Inner, kind: Kind, key: Key, verb: Verb, mut value: Value) -> Arc<Object> {
        inner.version += 1;
        let version = inner.version;
        value["metadata"]["resourceVersion"] = version.to_string().into();
        let object = Arc::new(Object::new(value));
        let table = &mut inner.tables[kind as usize];
        let before = match verb {
            Verb::Deleted => {
                inner.uids.remove(object.uid());
                table.objects.remove(&key)
            }
            Verb::Added | Verb::Modified => {
                if verb == Verb::Added {
                    inner.uids.insert(object.uid().to_string(), (kind, key.clone()));
                }
                table.objects.insert(key, object.clone())
            }
        };
        if table.history.len() == HISTORY
            && let Some(oldest) = table.history.pop_front()
        {
            table.forgotten = oldest.version;
        }
        table.history.push_back(Change {
            version,
            verb,
            object: object.clone(),
            before,
        });
        self.changed[kind as usize].send_replace(version);
        object
    }
}

/// Makes sure that `value` is an object and returns it for writing.
pub fn object_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made an object just above")
}
