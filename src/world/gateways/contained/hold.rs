//! The thread that makes a gateway's container, waits, and removes it.

use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::query_parameters::RemoveContainerOptionsBuilder;
use testcontainers::core::Mount;
use testcontainers::core::client::docker_client_instance;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt, TestcontainersError};
use tokio::fs::OpenOptions;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{ContainerError, Wanted};
use crate::world::gateways::program::{PAUSE, SHOWN_LINES, START_WITHIN};
use crate::world::kind::tool::{ANSWERS_WITHIN, last_lines};

type Container = ContainerAsync<GenericImage>;

/// Makes a container, says that it takes requests or why it doesn't, and removes it once it is to stop.
pub(super) fn hold(wanted: &Wanted, ready: oneshot::Sender<Result<(), ContainerError>>, stop: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Where nobody waits any more, nobody has to be told.
    match runtime {
        Ok(runtime) => runtime.block_on(held(wanted, ready, stop)),
        Err(error) => {
            let _gone = ready.send(Err(ContainerError::Thread(error)));
        }
    }
}

async fn held(wanted: &Wanted, ready: oneshot::Sender<Result<(), ContainerError>>, stop: &CancellationToken) {
    let docker = match engine(wanted).await {
        Ok(docker) => docker,
        Err(error) => {
            let _gone = ready.send(Err(error));
            return;
        }
    };
    // Never given up on its way: what the engine is still making can't be removed.
    let started = request(wanted).start().await;
    let opened = match &started {
        Ok(container) => tokio::select! {
            opened = until_open(wanted, container) => opened,
            () = stop.cancelled() => Ok(()),
        },
        Err(error) => Err(start_error(wanted, error)),
    };
    match opened {
        Ok(()) => {
            let _gone = ready.send(Ok(()));
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = log(wanted, &started) => stop.cancelled().await,
            }
            remove(&docker, wanted, started).await;
        }
        Err(error) => {
            // Whoever reads of it finds nothing left.
            remove(&docker, wanted, started).await;
            let _gone = ready.send(Err(error));
        }
    }
}

/// The engine, if it answers and has the image. None is pulled: that takes minutes, and says nothing meanwhile.
async fn engine(wanted: &Wanted) -> Result<Docker, ContainerError> {
    let no_engine = |why: String| ContainerError::NoEngine { why };
    let asked = async {
        let docker = docker_client_instance().await;
        let docker = docker.map_err(|error| no_engine(error.to_string()))?;
        docker.ping().await.map_err(|error| no_engine(error.to_string()))?;
        match docker.inspect_image(&wanted.image).await {
            Ok(_) => Ok(docker),
            Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Err(ContainerError::NoImage {
                image: wanted.image.clone(),
                program: wanted.program,
            }),
            Err(error) => Err(no_engine(error.to_string())),
        }
    };
    timeout(ANSWERS_WITHIN, asked)
        .await
        .unwrap_or(Err(ContainerError::Silent))
}

fn request(wanted: &Wanted) -> ContainerRequest<GenericImage> {
    let (name, tag) = name_and_tag(&wanted.image);
    let folder = wanted.folder.display().to_string();
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    GenericImage::new(name, tag)
        .with_entrypoint(wanted.program)
        .with_cmd(wanted.arguments.clone())
        .with_container_name(wanted.name.clone())
        .with_label("gauntlet", "gateway")
        .with_network("host")
        // What it writes into the folder can be removed with it.
        .with_user(format!("{}:{}", user.as_raw(), group.as_raw()))
        .with_mount(Mount::bind_mount(folder.clone(), folder))
        .with_startup_timeout(START_WITHIN)
}

/// An image's name and its tag, as the engine puts them together again: `a.example:5000/nginx` and `1.22`.
fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

async fn until_open(wanted: &Wanted, container: &Container) -> Result<(), ContainerError> {
    let deadline = Instant::now() + START_WITHIN;
    for front in &wanted.fronts {
        while TcpStream::connect(*front).await.is_err() {
            let runs = container.is_running().await;
            if !runs.map_err(|error| start_error(wanted, &error))? {
                return Err(ContainerError::Ended {
                    program: wanted.program,
                    image: wanted.image.clone(),
                    said: said(container).await,
                });
            }
            if Instant::now() > deadline {
                return Err(ContainerError::Late {
                    program: wanted.program,
                    image: wanted.image.clone(),
                    address: *front,
                    said: said(container).await,
                });
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

fn start_error(wanted: &Wanted, error: &TestcontainersError) -> ContainerError {
    ContainerError::Start {
        program: wanted.program,
        image: wanted.image.clone(),
        why: error.to_string(),
    }
}

/// Writes what a container says on its two outputs into the file of its log, as long as it says something.
async fn log(wanted: &Wanted, started: &Result<Container, TestcontainersError>) {
    let Ok(container) = started else { return };
    let both = async {
        let mut file = OpenOptions::new().append(true).open(&wanted.log).await?;
        let mut beside = file.try_clone().await?;
        let (mut output, mut errors) = (container.stdout(true), container.stderr(true));
        tokio::try_join!(
            tokio::io::copy_buf(&mut output, &mut file),
            tokio::io::copy_buf(&mut errors, &mut beside)
        )
    };
    if let Err(error) = both.await {
        tracing::warn!(container = %wanted.name, %error, "the log of a gateway's container has ended");
    }
}

/// The end of what it wrote; nothing where the engine doesn't say.
async fn said(container: &Container) -> String {
    let output = container.stdout_to_vec().await.unwrap_or_default();
    let errors = container.stderr_to_vec().await.unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&[output, errors].concat()), SHOWN_LINES)
}

/// Removes the container, also one that was made and could not be started.
async fn remove(docker: &Docker, wanted: &Wanted, started: Result<Container, TestcontainersError>) {
    let removed = match started {
        Ok(container) => container.rm().await.map_err(|error| error.to_string()),
        Err(_) => {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match docker.remove_container(&wanted.name, Some(options)).await {
                Ok(()) | Err(EngineError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
    };
    if let Err(why) = removed {
        tracing::error!(container = %wanted.name, %why, "a gateway's container could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_of_images() {
        for (image, name, tag) in [
            ("nginx", "nginx", "latest"),
            ("gauntlet/nginx:1.22.1", "gauntlet/nginx", "1.22.1"),
            ("a.example:5000/nginx", "a.example:5000/nginx", "latest"),
            ("a.example:5000/nginx:1.22", "a.example:5000/nginx", "1.22"),
        ] {
            assert_eq!(name_and_tag(image), (name, tag), "{image}");
        }
    }
}
