//! Changes to a platform without Kubernetes: journalled, made by commands of its profile, and put back.
//!
//! Old values of the secret are kept in the secret itself, beside the new ones: they are never on this machine's disk,
//! and they survive a crash.

use std::collections::{BTreeMap, BTreeSet};

use super::InstallationError;
use super::changes::{Changes, fingerprint};
use super::journal::Entry;
use crate::profile::operations::Operation;
use crate::world::operations::{Changed, Commands, KEPT_BY, Keys, OperationError, is_kept, kept_under};

/// The new value of a key that was removed.
const GONE: &str = "gone";

/// The new value of a key if only the platform knows it.
const ANY: &str = "any";

/// How often the keys are checked: a command of a killed run may still be at work.
const LOOKS: usize = 3;

/// All entries about one key, taken together.
struct Net {
    was_there: bool,
    wrote: BTreeSet<String>,
}

impl Changes {
    fn by_command(&self, operation: Operation) -> Result<&Commands, InstallationError> {
        let commands = self.commands.as_ref();
        Ok(commands.ok_or(OperationError::NotGiven(operation))?)
    }

    /// Changes keys of the token's secret.
    pub async fn patch_by_command(&self, changed: &Changed) -> Result<(), InstallationError> {
        let commands = self.by_command(Operation::PatchSecret)?;
        let wrote = changed.iter().map(|(key, value)| {
            let wrote = value
                .as_ref()
                .map_or(GONE.to_owned(), |value| fingerprint(value.as_bytes()));
            (key.clone(), wrote)
        });
        self.keep_keys(commands, wrote.collect()).await?;
        Ok(commands.patch(changed).await?)
    }

    /// Runs the seed, which fills in keys. Returns its output.
    pub async fn seed_by_command(&self, keys: &[&str]) -> Result<String, InstallationError> {
        let commands = self.by_command(Operation::Seed)?;
        let wrote = keys.iter().map(|key| ((*key).to_owned(), ANY.to_owned()));
        self.keep_keys(commands, wrote.collect()).await?;
        Ok(commands.seed().await?)
    }

    /// Keeps the old values of keys, and journals their new ones.
    async fn keep_keys(&self, commands: &Commands, wrote: BTreeMap<String, String>) -> Result<(), InstallationError> {
        let run = &self.journal.head.run;
        let found = commands.all_keys().await?;
        if let Some(other) = found.get(KEPT_BY).filter(|by| *by != run) {
            return Err(InstallationError::KeptByKey { run: other.clone() });
        }
        let before = self.journal.entries();
        let can_list = commands.has(Operation::ListPods);
        if can_list && !before.iter().any(|entry| matches!(entry, Entry::WarmPods { .. })) {
            let warm = commands.pods(&self.warm).await?;
            let names = warm.into_iter().map(|pod| pod.name).collect();
            self.journal.note(Entry::WarmPods { names })?;
        }
        let earlier = |key: &str| {
            before.iter().find_map(|entry| match entry {
                Entry::Key { key: at, was_there, .. } if at == key => Some(*was_there),
                _ => None,
            })
        };
        let mut kept = Changed::from([(KEPT_BY.to_owned(), Some(run.clone()))]);
        for key in wrote.keys().filter(|key| earlier(key).is_none()) {
            if let Some(old) = found.get(key) {
                kept.insert(kept_under(key), Some(old.clone()));
            }
        }
        commands.patch(&kept).await?;
        for (key, wrote) in wrote {
            self.journal.note(Entry::Key {
                was_there: earlier(&key).unwrap_or(found.contains_key(&key)),
                key,
                wrote,
            })?;
        }
        Ok(())
    }

    /// Restarts `web` or `worker`.
    pub async fn restart_by_command(&self, role: &str) -> Result<(), InstallationError> {
        let commands = self.by_command(Operation::RestartWeb)?;
        self.journal.note(Entry::RestartByCommand { role: role.to_owned() })?;
        Ok(commands.restart(role).await?)
    }

    /// Changes a part of the platform until it is undone.
    pub async fn turn(&self, operation: Operation, to: Option<&str>) -> Result<(), InstallationError> {
        let commands = self.by_command(operation)?;
        self.journal.note(Entry::Turned {
            operation: operation.name().to_owned(),
        })?;
        Ok(commands.turn(operation, to).await?)
    }

    /// Puts back everything that is as the run left it. What somebody else has changed since is left alone and
    /// reported.
    pub(super) async fn undo_by_command(
        &self,
        commands: &Commands,
        entries: &[Entry],
    ) -> Result<Vec<String>, InstallationError> {
        let mut keys: BTreeMap<&str, Net> = BTreeMap::new();
        let (mut roles, mut turned) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            match entry {
                Entry::Key { key, was_there, wrote } => {
                    let first = || Net {
                        was_there: *was_there,
                        wrote: BTreeSet::new(),
                    };
                    keys.entry(key).or_insert_with(first).wrote.insert(wrote.clone());
                }
                Entry::RestartByCommand { role } => {
                    roles.insert(role.as_str());
                }
                Entry::Turned { operation } => turned.extend(Operation::named(operation)),
                _ => {}
            }
        }
        for operation in turned {
            commands.turn_back(operation).await?;
        }
        let mut left = Vec::new();
        for look in 0..LOOKS {
            // Secrets first, so that what restarts reads the old ones.
            left.clear();
            let mut back = Changed::new();
            if !keys.is_empty() {
                let found = commands.all_keys().await?;
                for (key, net) in &keys {
                    match put_back(key, net, &found) {
                        Ok(Some(value)) => drop(back.insert((*key).to_owned(), value)),
                        Ok(None) => {}
                        Err(why) => left.push(why.to_string()),
                    }
                }
            }
            if back.is_empty() && look > 0 {
                break;
            }
            if !back.is_empty() {
                commands.patch_back(&back).await?;
            }
            for role in &roles {
                commands.restart(role).await?;
            }
        }
        let before = entries.iter().find_map(|entry| match entry {
            Entry::WarmPods { names } => Some(names),
            _ => None,
        });
        if let Some(before) = before.filter(|_| !roles.is_empty() && commands.has(Operation::DeletePod)) {
            // Those created with the replaced token would refuse the old one.
            for pod in commands.pods(&self.warm).await? {
                if !before.contains(&pod.name) {
                    commands.delete_pod(&pod.name).await?;
                }
            }
        }
        Ok(left)
    }

    /// Removes the old values that the run kept.
    pub(super) async fn sweep_by_command(&self, commands: &Commands) -> Result<(), InstallationError> {
        if !commands.has(Operation::PatchSecret) || !commands.has(Operation::ReadSecret) {
            return Ok(());
        }
        let found = commands.all_keys().await?;
        if found.get(KEPT_BY) != Some(&self.journal.head.run) {
            return Ok(());
        }
        let kept = found.into_keys().filter(|key| is_kept(key)).map(|key| (key, None));
        Ok(commands.patch_back(&kept.collect()).await?)
    }
}

/// Why a key is left as it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum LeftAlone {
    #[error("the old {key} is no longer kept in the secret: it is not put back")]
    NotKept { key: String },
    #[error("{key} of the secret was changed by somebody else since: it is left as it is")]
    Changed { key: String },
}

/// The value to put back for a key; none if it is already there.
fn put_back(key: &str, net: &Net, found: &Keys) -> Result<Option<Option<String>>, LeftAlone> {
    let kept = match (net.was_there, found.get(&kept_under(key))) {
        (true, None) => return Err(LeftAlone::NotKept { key: key.to_owned() }),
        (true, Some(kept)) => Some(kept),
        (false, _) => None,
    };
    let now = found.get(key);
    if now == kept {
        return Ok(None);
    }
    let wrote = now.map_or(GONE.to_owned(), |now| fingerprint(now.as_bytes()));
    match net.wrote.contains(&wrote) || net.wrote.contains(ANY) {
        true => Ok(Some(kept.cloned())),
        false => Err(LeftAlone::Changed { key: key.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(was_there: bool, wrote: &[&str]) -> Net {
        Net {
            was_there,
            wrote: wrote.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    fn keys(entries: &[(&str, &str)]) -> Keys {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_the_run_left_is_put_back() {
        let kept = ("GAUNTLET_KEPT_OLD_T", "old");
        let wrote = fingerprint(b"new");
        let back = |net: Net, entries: &[(&str, &str)]| put_back("T", &net, &keys(entries));
        let old = Ok(Some(Some("old".to_owned())));
        assert_eq!(back(net(true, &[&wrote]), &[kept, ("T", "new")]), old);
        assert_eq!(back(net(true, &[GONE]), &[kept]), old);
        assert_eq!(back(net(true, &[ANY]), &[kept, ("T", "made up")]), old);
        assert_eq!(back(net(true, &[&wrote]), &[kept, ("T", "old")]), Ok(None));
        assert_eq!(back(net(false, &[&wrote]), &[("T", "new")]), Ok(Some(None)));
        assert_eq!(back(net(false, &[&wrote]), &[]), Ok(None));
    }

    #[test]
    fn what_somebody_else_changed_is_left() {
        let wrote = fingerprint(b"new");
        let kept = ("GAUNTLET_KEPT_OLD_T", "old");
        let theirs = put_back("T", &net(true, &[&wrote]), &keys(&[kept, ("T", "theirs")]));
        assert_eq!(theirs, Err(LeftAlone::Changed { key: "T".to_owned() }));
        let lost = put_back("T", &net(true, &[&wrote]), &keys(&[("T", "new")]));
        assert_eq!(lost, Err(LeftAlone::NotKept { key: "T".to_owned() }));
    }
}
