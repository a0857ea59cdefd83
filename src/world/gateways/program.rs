//! Finds, checks, starts and stops a gateway's program.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::contained::ContainerError;
use crate::world::kind::tool::last_lines;
use crate::world::on_path;

/// How long a gateway may take until it takes requests.
pub(super) const START_WITHIN: Duration = Duration::from_secs(20);

/// Time between two looks at whether it takes requests.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// Lines of its log that an error shows.
pub(super) const SHOWN_LINES: usize = 8;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error("`{program}` is not on PATH; {help}")]
    Missing { program: &'static str, help: &'static str },
    #[error("starting `{program}`: {source}")]
    Start { program: String, source: io::Error },
    #[error("`{program} {asked}` printed nothing recognisable as {program}:\n{said}")]
    Unknown {
        program: &'static str,
        asked: &'static str,
        said: String,
    },
    #[error("`{program}` {version} can't be the gateway: {why}")]
    Unfit {
        program: &'static str,
        version: String,
        why: &'static str,
    },
    #[error("`{program}` {version} ended with {status} before it took requests:\n{said}")]
    Ended {
        program: &'static str,
        version: String,
        status: ExitStatus,
        said: String,
    },
    #[error("`{program}` {version} took no requests on {address} within {START_WITHIN:?}:\n{said}")]
    Late {
        program: &'static str,
        version: String,
        address: SocketAddr,
        said: String,
    },
    #[error("a folder for the gateways' files: {0}")]
    Folder(#[source] io::Error),
    #[error("loopback addresses for the gateways: {0}")]
    Address(#[source] io::Error),
    #[error(transparent)]
    Container(#[from] ContainerError),
}

/// A program that can be a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub name: &'static str,
    /// How one comes by it.
    help: &'static str,
    /// Asks for its version.
    asked: &'static str,
    /// The text before the version in its output.
    mark: &'static str,
    /// What its output must also contain, and what that means.
    needs: Option<(&'static str, &'static str)>,
    pub(super) arguments: fn(file: &Path) -> Vec<OsString>,
}

pub const NGINX: Program = Program {
    name: "nginx",
    help: "`apt-get install nginx` gets it",
    asked: "-V",
    mark: "nginx version: nginx/",
    needs: Some((
        "http_auth_request_module",
        "it was built without http_auth_request_module",
    )),
    arguments: |file| vec!["-c".into(), file.into()],
};

pub const ENVOY: Program = Program {
    name: "envoy",
    help: "https://www.envoyproxy.io/docs/envoy/latest/start/install tells how to get it",
    asked: "--version",
    mark: "version: ",
    needs: None,
    arguments: |file| {
        let flags = [
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "error",
            // What it logs of a request is there soon, and not after ten seconds.
            "--file-flush-interval-msec",
            "20",
        ];
        let mut arguments: Vec<OsString> = vec!["-c".into(), file.into()];
        arguments.extend(flags.map(Into::into));
        arguments
    },
};

impl Program {
    /// The first file of that name in the folders of `PATH`.
    pub fn find(&self, path: Option<&str>) -> Result<PathBuf, GatewayError> {
        on_path::find(self.name, path).ok_or(GatewayError::Missing {
            program: self.name,
            help: self.help,
        })
    }

    /// Its version, where it can be the gateway.
    pub async fn version(&self, file: &Path) -> Result<String, GatewayError> {
        let output = Command::new(file).arg(self.asked).stdin(Stdio::null()).output().await;
        let output = output.map_err(|source| GatewayError::Start {
            program: file.display().to_string(),
            source,
        })?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let version = said.split_once(self.mark).map(|(_, rest)| rest);
        // `1.22.1`, or what Envoy says: `COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
        let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
        let words = version.into_iter().flat_map(|rest| rest.split(['/', ' ', '\n']));
        let Some(version) = words.take(4).find(is_version) else {
            return Err(GatewayError::Unknown {
                program: self.name,
                asked: self.asked,
                said: last_lines(&said, SHOWN_LINES),
            });
        };
        match self.needs {
            Some((needed, why)) if !said.contains(needed) => Err(GatewayError::Unfit {
                program: self.name,
                version: version.to_owned(),
                why,
            }),
            _ => Ok(version.to_owned()),
        }
    }
}

/// A gateway that takes requests. Dropped, it is killed, and its folder goes.
pub struct Running {
    program: Program,
    version: String,
    child: Child,
    group: Option<Pid>,
    /// What it writes to its two outputs.
    log: PathBuf,
    /// Its configuration, its log, its temporary files.
    _folder: TempDir,
}

impl Running {
    /// Starts it with the configuration of that name in `folder`, and waits until it takes requests at all
    /// these addresses.
    pub async fn start(
        program: Program,
        path: Option<&str>,
        folder: TempDir,
        file: &str,
        fronts: &[SocketAddr],
    ) -> Result<Running, GatewayError> {
        let file = folder.path().join(file);
        let found = program.find(path)?;
        let version = program.version(&found).await?;
        let log = file.with_extension("log");
        let failed = |source| GatewayError::Start {
            program: found.display().to_string(),
            source,
        };
        // It may open its outputs again by their names: nobody writes over what another one wrote.
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let output = output.map_err(GatewayError::Folder)?;
        let child = Command::new(&found)
            .args((program.arguments)(&file))
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut running = Running {
            program,
            version,
            group: child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            child,
            log: log.clone(),
            _folder: folder,
        };
        let deadline = Instant::now() + START_WITHIN;
        for front in fronts {
            running.until_open(*front, deadline, &log).await?;
        }
        Ok(running)
    }

    async fn until_open(&mut self, front: SocketAddr, deadline: Instant, log: &Path) -> Result<(), GatewayError> {
        let said = || last_lines(&std::fs::read_to_string(log).unwrap_or_default(), SHOWN_LINES);
        loop {
            if TcpStream::connect(front).await.is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(GatewayError::Ended {
                    program: self.program.name,
                    version: self.version.clone(),
                    status,
                    said: said(),
                });
            }
            if Instant::now() > deadline {
                return Err(GatewayError::Late {
                    program: self.program.name,
                    version: self.version.clone(),
                    address: front,
                    said: said(),
                });
            }
            sleep(PAUSE).await;
        }
    }

    /// `nginx 1.22.1`.
    pub fn version(&self) -> String {
        format!("{} {}", self.program.name, self.version)
    }

    /// The file of what it writes to its two outputs.
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may have ended just now.
            let _ended = kill_process_group(group, signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        // Its folder goes when nobody writes there any more; that it can't be looked at is no reason to wait.
        while let Ok(None) = self.child.try_wait() {
            std::thread::yield_now();
        }
    }
}
