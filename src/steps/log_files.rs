//! Logs beside those of the platform's pods: of gateways of this machine, and those that a profile names.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::sleep;

use super::context::StepContext;
use super::observation::StepError;
use crate::profile::logs::{LogPods, LogSource};
use crate::world::pod::containers;

/// The most bytes of a file that are read, from its end.
const READ: u64 = 64 << 20;

/// The name of each, and what it holds.
pub async fn read(context: &StepContext) -> Result<Vec<(String, String)>, StepError> {
    let mut texts = Vec::new();
    for (road, file) in context.world.gateway_logs() {
        texts.push(of_file(road.name(), file).await?);
    }
    let named = context.world.installation().map(|installation| &installation.logs);
    for (name, source) in named.into_iter().flatten() {
        match source {
            LogSource::File(file) => texts.push(of_file(name, file).await?),
            LogSource::Pods(pods) => texts.extend(of_pods(name, pods, context).await?),
        }
    }
    Ok(texts)
}

async fn of_file(name: &str, file: &Path) -> Result<(String, String), StepError> {
    let name = format!("log of {name}");
    let end = end_of(file).await;
    let end = end.map_err(|error| StepError::doing(format!("reading the {name}, {}", file.display()), error))?;
    Ok((name, String::from_utf8_lossy(&end).into_owned()))
}

/// What the containers of pods wrote, once the lines of the last request must be there.
async fn of_pods(name: &str, of: &LogPods, context: &StepContext) -> Result<Vec<(String, String)>, StepError> {
    let world = &context.world;
    let namespace = of.namespace.as_deref().unwrap_or(&world.namespace);
    let doing = format!(
        "reading the log of {name}, of pods with {} in the namespace {namespace}",
        of.selector
    );
    let wrong = |why: &str| StepError::Because(format!("{doing}: {why}; correct `logs` in the profile"));
    if world
        .installation()
        .is_some_and(|installation| !installation.has_cluster)
    {
        return Err(wrong("only doors are known, and no cluster"));
    }
    let passed = context.since_last_exchange().unwrap_or(Duration::MAX);
    // Nothing tells that a writer has nothing more to write.
    sleep(of.delay.saturating_sub(passed)).await;
    let pods: Api<Pod> = Api::namespaced(world.kubernetes.clone(), namespace);
    let listed = pods.list(&ListParams::default().labels(&of.selector)).await;
    let listed = listed.map_err(|error| StepError::asking(&doing, error))?;
    let mut texts = Vec::new();
    for pod in &listed.items {
        let is_wanted = |container: &&str| of.container.as_deref().is_none_or(|wanted| wanted == *container);
        for container in containers(pod).filter(is_wanted) {
            let params = LogParams {
                container: Some(container.to_owned()),
                ..LogParams::default()
            };
            match pods.logs(&pod.name_any(), &params).await {
                Ok(text) => texts.push((format!("log of {name}, {}/{container}", pod.name_any()), text)),
                // It has not started, or went away meanwhile.
                Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => {}
                Err(error) => return Err(StepError::asking(&doing, error)),
            }
        }
    }
    match texts.is_empty() {
        true => Err(wrong("there is no such container that has started")),
        false => Ok(texts),
    }
}

/// The end of a file; all of it where it isn't long.
async fn end_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(file).await?;
    let size = file.metadata().await?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(READ))).await?;
    let mut bytes = Vec::new();
    file.take(READ).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_file_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("access.log");
        assert!(end_of(&file).await.is_err(), "it isn't there");
        std::fs::write(&file, "GET /tty\n").expect("written");
        assert_eq!(end_of(&file).await.expect("read"), b"GET /tty\n");
        let long = std::fs::OpenOptions::new().append(true).open(&file).expect("open");
        long.set_len(READ + 1).expect("made longer");
        let end = end_of(&file).await.expect("read");
        assert_eq!((end.len() as u64, end[0]), (READ, b'E'));
    }
}
