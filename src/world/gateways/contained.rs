//! A gateway as a container of this machine's engine, by the crate testcontainers.
//!
//! It is on this machine's network, and finds the folder of its files at the same path: it is told what the program
//! is told. A thread holds it, with a runtime of its own, and removes it when nobody has it any more: after a run, after
//! Ctrl-C, after a panic, and where it is given up while the engine makes it.

#[cfg(feature = "containers")]
mod hold;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::program::{Program, START_WITHIN};
use crate::world::kind::tool::ANSWERS_WITHIN;
#[cfg(feature = "containers")]
use hold::hold;

/// Why a build without testcontainers has no such gateways, and what has them; `None` if they are there.
const MISSING: Option<&str> = if cfg!(feature = "containers") {
    None
} else {
    Some(
        "this build leaves out testcontainers, which `--gateway-in container` needs: `cargo build --release` builds it in",
    )
};

/// Why a gateway is no container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error("{0}")]
    NotBuilt(&'static str),
    #[error("no container engine answers: {why}; `--gateway-in container` needs Docker Engine on this machine")]
    NoEngine { why: String },
    #[error("the container engine does not answer within {ANSWERS_WITHIN:?}")]
    Silent,
    #[error(
        "the image {image} is not on this machine; `docker pull {image}` gets it, and `--{program}-image` names another"
    )]
    NoImage { image: String, program: &'static str },
    #[error("starting `{program}` as a container of {image}: {why}")]
    Start {
        program: &'static str,
        image: String,
        why: String,
    },
    #[error("`{program}`, a container of {image}, ended before it took requests:\n{said}")]
    Ended {
        program: &'static str,
        image: String,
        said: String,
    },
    #[error("`{program}`, a container of {image}, took no requests on {address} within {START_WITHIN:?}:\n{said}")]
    Late {
        program: &'static str,
        image: String,
        address: SocketAddr,
        said: String,
    },
    #[error("a thread that holds a container: {0}")]
    Thread(#[source] io::Error),
    #[error("the thread that holds a container of {image} ended by itself")]
    Lost { image: String },
}

/// A container that is to be.
#[cfg_attr(not(feature = "containers"), expect(dead_code))]
struct Wanted {
    /// Nobody else's on this machine.
    name: String,
    image: String,
    program: &'static str,
    arguments: Vec<String>,
    /// It finds this folder at the same path.
    folder: PathBuf,
    /// The file for what it writes to its two outputs, which is there.
    log: PathBuf,
    /// Where it takes requests.
    fronts: Vec<SocketAddr>,
}

/// A gateway that takes requests. Dropped, its container is removed, and then its folder.
pub struct Contained {
    program: &'static str,
    image: String,
    stop: CancellationToken,
    holder: Option<JoinHandle<()>>,
    /// What it writes to its two outputs.
    log: PathBuf,
    /// Its configuration, its log and its temporary files.
    _folder: TempDir,
}

impl Contained {
    /// Starts a container with the configuration of that name in `folder`, and waits until it takes requests at all
    /// these addresses. Its log is the file beside the configuration, which is there.
    pub async fn start(
        program: Program,
        image: &str,
        folder: TempDir,
        file: &str,
        fronts: Vec<SocketAddr>,
    ) -> Result<Contained, ContainerError> {
        if let Some(why) = MISSING {
            return Err(ContainerError::NotBuilt(why));
        }
        let file = folder.path().join(file);
        let arguments = (program.arguments)(&file);
        let log = file.with_extension("log");
        let wanted = Wanted {
            name: free_name(program.name),
            image: image.to_owned(),
            program: program.name,
            arguments: arguments
                .iter()
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            folder: folder.path().to_owned(),
            log: log.clone(),
            fronts,
        };
        let stop = CancellationToken::new();
        let (ready, told) = oneshot::channel();
        let holder = {
            let stop = stop.clone();
            let holder = std::thread::Builder::new().name(wanted.name.clone());
            holder.spawn(move || hold(&wanted, ready, &stop))
        };
        // Dropped from here on, it waits until there is no container.
        let contained = Contained {
            program: program.name,
            image: image.to_owned(),
            stop,
            holder: Some(holder.map_err(ContainerError::Thread)?),
            log,
            _folder: folder,
        };
        match told.await {
            Ok(Ok(())) => Ok(contained),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ContainerError::Lost {
                image: contained.image.clone(),
            }),
        }
    }

    /// `nginx of nginx:stable`.
    pub fn version(&self) -> String {
        format!("{} of {}", self.program, self.image)
    }

    /// The file of what it writes to its two outputs.
    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(holder) = self.holder.take() {
            // If it panicked there is nothing more to wait for.
            let _panicked = holder.join();
        }
    }
}

/// A name that says whose the container is: `gauntlet-nginx-4711-3f9a2c`.
fn free_name(program: &str) -> String {
    let (process, random) = (std::process::id(), rand::random::<u32>() & 0x00ff_ffff);
    format!("gauntlet-{program}-{process}-{random:06x}")
}

/// Stands in for the holder in a build without testcontainers.
#[cfg(not(feature = "containers"))]
fn hold(_wanted: &Wanted, ready: oneshot::Sender<Result<(), ContainerError>>, _stop: &CancellationToken) {
    // Nobody waits for it any more, or is told.
    let _gone = ready.send(Err(ContainerError::NotBuilt(MISSING.unwrap_or_default())));
}
