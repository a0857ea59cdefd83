//! Logs beside those of the platform's pods: of gateways of this machine, and those that a profile names.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::{AsyncRead, AsyncReadExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::sleep;

use super::context::StepContext;
use super::observation::StepError;
use crate::profile::logs::{LogPods, LogSource};
use crate::world::pod::{containers, has_restarted};

/// The most bytes of a file or of a container's log that are searched, from its end.
const READ: u64 = 64 << 20;

/// How much of a stream is read at a time.
const PIECE: usize = 64 << 10;

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
        let pod_name = pod.name_any();
        for container in containers(pod).filter(is_wanted) {
            let name = format!("log of {name}, {pod_name}/{container}");
            // What it wrote before it was started again may still be there.
            if has_restarted(pod, container)
                && let Some(text) = of_container(&pods, &pod_name, container, true, &doing).await?
            {
                texts.push((format!("previous {name}"), text));
            }
            if let Some(text) = of_container(&pods, &pod_name, container, false, &doing).await? {
                texts.push((name, text));
            }
        }
    }
    match texts.is_empty() {
        true => Err(wrong("there is no such container that has started")),
        false => Ok(texts),
    }
}

/// The end of what a container wrote, or the one before it; none if it has not started, or went away meanwhile.
async fn of_container(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    previous: bool,
    doing: &str,
) -> Result<Option<String>, StepError> {
    let params = LogParams {
        container: Some(container.to_owned()),
        previous,
        ..LogParams::default()
    };
    let stream = match pods.log_stream(pod, &params).await {
        Ok(stream) => stream,
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => return Ok(None),
        Err(error) => return Err(StepError::asking(doing, error)),
    };
    let most = usize::try_from(READ).unwrap_or(usize::MAX);
    let end = end_of_stream(stream, most).await;
    let end = end.map_err(|error| StepError::doing(doing, error))?;
    Ok(Some(String::from_utf8_lossy(&end).into_owned()))
}

/// The end of a stream; all of it where it isn't long. It never holds much more than that.
async fn end_of_stream(stream: impl AsyncRead, most: usize) -> io::Result<Vec<u8>> {
    let mut stream = pin!(stream);
    let mut piece = vec![0; PIECE];
    let mut end: Vec<u8> = Vec::new();
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            break;
        }
        end.extend_from_slice(piece.get(..length).unwrap_or_default());
        // Not each time: what stays is moved.
        if end.len() / 2 > most {
            end.drain(..end.len() - most);
        }
    }
    end.drain(..end.len().saturating_sub(most));
    Ok(end)
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
    async fn the_end_of_a_stream_is_kept() {
        let text: Vec<u8> = (0..5 * PIECE).map(|n| b"0123456789"[n % 10]).collect();
        for most in [0, 1, 7, PIECE, 2 * PIECE + 3, 5 * PIECE, 9 * PIECE] {
            let end = end_of_stream(text.as_slice(), most).await.expect("read");
            assert_eq!(end, text[text.len().saturating_sub(most)..], "{most}");
        }
        assert!(end_of_stream(&b""[..], 5).await.expect("read").is_empty());
    }

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
