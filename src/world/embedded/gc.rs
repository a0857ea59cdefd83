//! The garbage collector: owned objects are deleted with their owner, and a namespace
//! goes with its content.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::admission::FOREGROUND;
use super::error::ApiError;
use super::kinds::Kind;
use super::object::{Object, items, owners, text};
use super::store::{DeleteOptions, Part, Store};

/// Works through the queue until the store is gone.
pub async fn run(store: Arc<Store>, mut queue: UnboundedReceiver<Arc<Object>>) {
    while let Some(object) = queue.recv().await {
        match store.by_uid(object.uid()) {
            None => owner_gone(&store, &object),
            Some((Kind::Namespace, namespace)) => empty(&store, &namespace),
            Some((kind, object)) => still_there(&store, kind, &object),
        }
    }
}

fn owner_gone(store: &Store, object: &Object) {
    for (kind, owned) in store.owned_by(object.uid()) {
        release(store, kind, &owned);
    }
    for owner in owners(object) {
        if let Some((kind, owner)) = store.by_uid(text(&owner["uid"])) {
            foreground(store, kind, &owner);
        }
    }
    if let Ok(namespace) = store.get(Kind::Namespace, "", object.namespace())
        && namespace.deleting()
    {
        empty(store, &namespace);
    }
}

fn still_there(store: &Store, kind: Kind, object: &Object) {
    if object.deleting() {
        foreground(store, kind, object);
    } else {
        release(store, kind, object);
    }
}

/// Deletes an object whose owners are all gone; strikes the gone ones where some are left.
fn release(store: &Store, kind: Kind, object: &Object) {
    let (live, gone): (Vec<&Value>, Vec<&Value>) =
        owners(object).partition(|owner| store.by_uid(text(&owner["uid"])).is_some());
    if gone.is_empty() {
        return;
    }
    if live.is_empty() {
        let options = DeleteOptions {
            uid: Some(object.uid().into()),
            ..DeleteOptions::default()
        };
        // Gone meanwhile is as good.
        let _ = store.delete(kind, object.namespace(), object.name(), &options);
        return;
    }
    for owner in gone {
        store.disown(kind, object, text(&owner["uid"]));
    }
}

/// Deletes what an owner that waits for it owns; lets the owner go when nothing is left.
fn foreground(store: &Store, kind: Kind, owner: &Object) {
    let waits = items(&owner["metadata"]["finalizers"]).any(|finalizer| finalizer == FOREGROUND);
    if !waits {
        return;
    }
    let owned = store.owned_by(owner.uid());
    for (kind, object) in &owned {
        if !object.deleting() {
            let options = DeleteOptions {
                uid: Some(object.uid().into()),
                ..DeleteOptions::default()
            };
            let _ = store.delete(*kind, object.namespace(), object.name(), &options);
        }
    }
    if owned.is_empty() {
        let uid = owner.uid();
        // Gone meanwhile is as good.
        let _ = store.update(kind, owner.namespace(), owner.name(), Part::Main, |old| {
            if old["metadata"]["uid"] != uid {
                return Err(ApiError::not_found(kind, owner.name()));
            }
            let mut new = old.clone();
            if let Some(finalizers) = new["metadata"]["finalizers"].as_array_mut() {
                finalizers.retain(|finalizer| finalizer != FOREGROUND);
            }
            Ok(new)
        });
    }
}

/// Deletes the content of a namespace that ends, and the namespace once it is empty.
fn empty(store: &Store, namespace: &Object) {
    if !namespace.deleting() {
        return;
    }
    for kind in Kind::ALL {
        for object in store.list(kind, Some(namespace.name()), |object| !object.deleting()).0 {
            let _ = store.delete(kind, object.namespace(), object.name(), &DeleteOptions::default());
        }
    }
    if store.is_empty(namespace.name()) {
        store.remove(Kind::Namespace, namespace);
    }
}
