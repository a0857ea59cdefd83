//! Loads that involve a cluster: workers in its pods, the reference platform on kind, and the target pods' cost.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::door::{DoorOptions, NotReady, Ready};
use super::http::HttpOptions;
use super::sessions::SessionOptions;
use crate::cli::TargetName;
use crate::cli::exit::UsageError;
use crate::cli::process::Process;
use crate::cli::target::kind::{self, End, KindOptions};
use crate::cli::target::{NotStarted, installation, only_for};
use crate::load::cluster::{DOOR, Pods, ReferencePods, TargetSide, Watch, WorkerSettings};
use crate::load::result::Platform;
use crate::load::{EACH, ReferenceSettings};
use crate::redact::Redactor;
use crate::world::gateways::Images;
use crate::world::installation::{Place, connect};
use crate::world::kind::KindCluster;
use crate::world::kind::namespace::Namespace;

/// Which cluster the target is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClusterName {
    /// One that kind creates, with the reference platform on it
    Kind,
    /// An existing one from your kubeconfig, with the platform at --url
    Cluster,
}

#[derive(Clone, Debug, Default, Args)]
pub struct ClusterOptions {
    /// Generate the load from this many pods of a Job in the target's cluster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256), conflicts_with_all = [
        "workers", "sessions", "source",
    ])]
    pub workers_in_cluster: Option<u32>,
    /// The target's cluster, whose pods are then measured [default: none; cluster with --workers-in-cluster]
    #[arg(long, value_enum)]
    pub target: Option<ClusterName>,
    #[command(flatten)]
    pub kind: KindOptions,
    /// cluster: the context of the kubeconfig [default: its current one]
    #[arg(long)]
    pub context: Option<String>,
    /// cluster: the kubeconfig [default: $KUBECONFIG, or kubectl's]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// cluster: the namespace of the platform, and of workers [default: the context's]
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// cluster: the image of workers, whose entry point is gauntlet
    #[arg(long, value_name = "IMAGE", requires = "workers_in_cluster")]
    pub worker_image: Option<String>,
    /// Selector of the pods to measure in the namespace [default: all]
    #[arg(long, value_name = "SELECTOR")]
    pub pods: Option<String>,
}

/// The cluster of a load.
pub struct Found {
    client: kube::Client,
    namespace: String,
    /// The number of worker pods and their image, if there are any.
    workers: Option<(u32, String)>,
    selector: Option<String>,
    /// The load's own name, which its pods have as a label.
    run: String,
    /// If gauntlet created it.
    kind: Option<(KindCluster, End)>,
}

impl ClusterOptions {
    fn target(&self) -> Option<ClusterName> {
        self.target.or(self.workers_in_cluster.map(|_| ClusterName::Cluster))
    }

    /// Rejects meaningless combinations of flags.
    pub fn check(&self, door: &DoorOptions, sessions: &SessionOptions, http: &HttpOptions) -> Result<(), UsageError> {
        let wrong = |why: &str| Err(UsageError(why.to_owned()));
        let of_cluster = [
            ("--context", self.context.is_some()),
            ("--kubeconfig", self.kubeconfig.is_some()),
            ("--namespace", self.namespace.is_some()),
            ("--worker-image", self.worker_image.is_some()),
        ];
        let given = of_cluster.iter().find(|(_, given)| *given).map(|(flag, _)| *flag);
        match self.target() {
            None => {
                // What is of kind alone says so itself.
                self.kind.check(TargetName::Embedded)?;
                match given.or(self.pods.as_ref().map(|_| "--pods")) {
                    Some(flag) => Err(UsageError(format!(
                        "{flag} is of a load whose target is on a cluster; did you mean `--target cluster`?"
                    ))),
                    None => Ok(()),
                }
            }
            Some(ClusterName::Kind) => {
                if let Some(flag) = given {
                    return Err(only_for(flag, "cluster", "kind"));
                }
                if door.url.is_some() || sessions.api.is_some() {
                    return wrong(
                        "--target kind is the reference platform, and --url and --api name another one; did you mean \
                         `--target cluster`?",
                    );
                }
                if http.http_users.is_some() {
                    return wrong("--http-users asks from this machine, and nothing leads from it to --target kind");
                }
                match self.workers_in_cluster {
                    Some(_) => Ok(()),
                    None => wrong(
                        "--target kind requires --workers-in-cluster: from here all attaches would go through \
                         port-forwards, and those would be measured",
                    ),
                }
            }
            Some(ClusterName::Cluster) => {
                self.kind.check(TargetName::Cluster)?;
                if door.url.is_none() && sessions.api.is_none() {
                    return wrong(
                        "a target on a cluster requires --url: where its terminal is, as ws://web.agents.svc/tty",
                    );
                }
                match (self.workers_in_cluster, &self.worker_image) {
                    (Some(_), None) => wrong(
                        "--workers-in-cluster requires --worker-image: an image whose entry point is gauntlet, which the \
                         cluster can pull",
                    ),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Finds or creates the cluster, if one is needed. On failure it removes what it created.
    pub async fn find(&self, process: &Process) -> Result<Option<Found>, NotReady> {
        let stopped = process.stop.clone();
        let finding = async {
            match self.target() {
                None => Ok(None),
                Some(ClusterName::Kind) => self.on_kind(process).await.map(Some),
                Some(ClusterName::Cluster) => self.on_cluster(process).await.map(Some),
            }
        };
        match self.target() {
            // It looks for itself whether somebody stops it: there may be something to take away.
            Some(ClusterName::Kind) => finding.await,
            _ => stopped
                .run_until_cancelled(finding)
                .await
                .unwrap_or(Err(NotReady::Interrupted)),
        }
    }

    async fn on_cluster(&self, process: &Process) -> Result<Found, NotReady> {
        let place = Place {
            kubeconfig: installation::kubeconfig(self.kubeconfig.as_deref(), &*process.variable),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        };
        let reached = connect(&place).await.map_err(|error| error.to_string())?;
        Ok(Found {
            workers: self.workers_in_cluster.zip(self.worker_image.clone()),
            selector: self.pods.clone(),
            run: run(),
            kind: None,
            client: reached.client,
            namespace: reached.namespace,
        })
    }

    async fn on_kind(&self, process: &Process) -> Result<Found, NotReady> {
        let (cluster, end) =
            kind::find(&self.kind, None, Images::default(), process)
                .await
                .map_err(|error| match error {
                    NotStarted::Usage(error) => NotReady::Usage(error),
                    NotStarted::Failed(error) => NotReady::CouldNotTell(error),
                    NotStarted::Interrupted => NotReady::Interrupted,
                })?;
        let made = Namespace::new(&cluster.client, cluster.controller, &cluster.made).await;
        let namespace = match made {
            Ok(namespace) => namespace.name,
            Err(error) => {
                kind::end(&cluster, end, false).await;
                return Err(error.to_string().into());
            }
        };
        Ok(Found {
            client: cluster.client.clone(),
            namespace,
            workers: self.workers_in_cluster.map(|workers| (workers, cluster.image.clone())),
            selector: self.pods.clone(),
            run: run(),
            kind: Some((cluster, end)),
        })
    }
}

/// A unique name.
fn run() -> String {
    format!("load-{:08x}", rand::random::<u32>())
}

impl Found {
    /// The worker pods for this many attaches, if there are any.
    pub fn workers(&self, attaches: u32) -> Option<WorkerSettings> {
        let (workers, image) = self.workers.as_ref()?;
        Some(WorkerSettings {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            image: image.clone(),
            workers: (*workers).min(attaches),
            run: self.run.clone(),
        })
    }

    /// The door as pods find it: that of the URL, or on kind the reference platform's, which is started.
    pub async fn ready<'o>(
        &self,
        options: &'o DoorOptions,
        attaches: u32,
        process: &Process,
        redactor: &Redactor,
    ) -> Result<(Ready<'o>, Option<ReferencePods>), NotReady> {
        let url = options.url.as_deref().unwrap_or(DOOR);
        let ready = Ready::from_pods(options, url, process, redactor)?;
        let Some((cluster, _)) = &self.kind else {
            return Ok((ready, None));
        };
        let started = {
            let pods = (cluster.image.as_str(), attaches.div_ceil(EACH));
            let mutants = options.mutants();
            let settings = ReferenceSettings {
                token: &ready.tokens.right,
                terminal: options.terminal.name(),
                mutants: &mutants,
                limits: options.limits(),
            };
            let starting = ReferencePods::start(&self.client, &self.namespace, pods, &settings);
            process.stop.run_until_cancelled(starting).await
        };
        match started {
            Some(Ok(reference)) => Ok((ready, Some(reference))),
            Some(Err(why)) => Err(why.into()),
            None => Err(NotReady::Interrupted),
        }
    }

    /// Where the reference platform is, in words.
    pub fn place(&self) -> Option<String> {
        let (cluster, _) = self.kind.as_ref()?;
        Some(format!("as pods on the kind cluster {}", cluster.name))
    }

    /// Removes everything created for the load.
    pub async fn end(self, passed: bool) {
        if let Some((cluster, end)) = self.kind {
            kind::end(&cluster, end, passed).await;
        }
    }
}

/// Observes the target's pods from now on, if it is on a cluster.
pub async fn watch(found: Option<&Found>) -> Option<Watch> {
    let found = found?;
    let pods = Pods {
        client: found.client.clone(),
        namespace: found.namespace.clone(),
        selector: found.selector.clone(),
        without_run: Some(found.run.clone()),
    };
    Some(Watch::begin(pods).await)
}

/// What was seen of them.
pub async fn seen(watch: Option<Watch>, process: &Process) -> Option<TargetSide> {
    match watch {
        Some(watch) => Some(watch.end(&process.stop).await),
        None => None,
    }
}

/// Ends the reference platform; returns its own count.
pub async fn counted(reference: ReferencePods) -> Platform {
    let pods = reference.count();
    Platform::new(pods, reference.end().await, None)
}
