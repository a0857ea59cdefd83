//! The Lease under which a run disrupts a platform: one at a time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use tokio::time::interval;
use tokio_util::task::AbortOnDropHandle;

use super::{InstallationError, LEASE};
use crate::world::labels::labels;

/// How long it counts without being renewed.
const DURATION: Duration = Duration::from_secs(60);

const RENEWED_EVERY: Duration = Duration::from_secs(15);

/// A Lease that is held: renewed until this is dropped, and there until it is [released](release).
pub struct Held {
    _renewing: AbortOnDropHandle<()>,
}

impl Held {
    /// Takes it. `lost` is called where it can't be kept.
    ///
    /// # Errors
    /// Another run holds it.
    pub async fn take(
        leases: Api<Lease>,
        run: &str,
        lost: impl FnOnce() + Send + 'static,
    ) -> Result<Held, InstallationError> {
        let failed = |error| InstallationError::asking(format!("taking the lease {LEASE}"), error);
        let mine = lease(run);
        match leases.get_opt(LEASE).await.map_err(failed)? {
            None => drop(leases.create(&PostParams::default(), &mine).await.map_err(failed)?),
            Some(found) => {
                if let Some(holder) = holder(&found).filter(|holder| holder != run) {
                    return Err(InstallationError::Held { run: holder });
                }
                let mut taken = mine;
                taken.metadata.resource_version = found.metadata.resource_version;
                drop(
                    leases
                        .replace(LEASE, &PostParams::default(), &taken)
                        .await
                        .map_err(failed)?,
                );
            }
        }
        let run = run.to_owned();
        let renewing = tokio::spawn(async move {
            renew(leases, &run).await;
            lost();
        });
        Ok(Held {
            _renewing: AbortOnDropHandle::new(renewing),
        })
    }
}

/// Takes away the Lease of a run, where it still has it.
pub async fn release(leases: &Api<Lease>, run: &str) -> Result<(), InstallationError> {
    let failed = |error| InstallationError::asking(format!("giving back the lease {LEASE}"), error);
    loop {
        let Some(found) = leases.get_opt(LEASE).await.map_err(failed)? else {
            return Ok(());
        };
        if found.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(run) {
            return Ok(());
        }
        let as_it_is = Preconditions {
            resource_version: found.metadata.resource_version,
            uid: None,
        };
        let params = DeleteParams {
            preconditions: Some(as_it_is),
            ..DeleteParams::default()
        };
        match leases.delete(LEASE, &params).await {
            // Somebody else took it in this moment, or the run itself renewed it: what is so now says which.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            deleted => return deleted.map(drop).map_err(failed),
        }
    }
}

/// The other run that holds it now; none if that can't be seen.
pub async fn other_holder(leases: &Api<Lease>, run: Option<&str>) -> Option<String> {
    let found = leases.get_opt(LEASE).await.ok()??;
    holder(&found).filter(|holder| Some(holder.as_str()) != run)
}

/// The holder, who renews it.
fn holder(lease: &Lease) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let renewed = spec.renew_time.as_ref()?.0;
    let lasts = SignedDuration::from_secs(spec.lease_duration_seconds.unwrap_or_default().into());
    let holds = Timestamp::now().duration_since(renewed) < lasts;
    spec.holder_identity.clone().filter(|_| holds)
}

fn lease(run: &str) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(LEASE.into()),
            labels: Some(labels(run)),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(run.into()),
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            acquire_time: Some(MicroTime(Timestamp::now())),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        }),
    }
}

/// Renews it until it can't be kept.
async fn renew(leases: Api<Lease>, run: &str) {
    let mut beat = interval(RENEWED_EVERY);
    beat.tick().await;
    let mut missed = Duration::ZERO;
    loop {
        beat.tick().await;
        let renewed = async {
            let mut found = leases.get(LEASE).await?;
            let spec = found.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(run) {
                return Ok(false);
            }
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            leases.replace(LEASE, &PostParams::default(), &found).await?;
            Ok::<bool, kube::Error>(true)
        };
        match tokio::time::timeout(RENEWED_EVERY, renewed).await {
            Ok(Ok(true)) => missed = Duration::ZERO,
            Ok(Ok(false)) => return,
            Ok(Err(_)) | Err(_) => missed += RENEWED_EVERY,
        }
        if missed >= DURATION {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_renew_does_not_hold() {
        let mut mine = lease("r1");
        assert_eq!(holder(&mine).as_deref(), Some("r1"));
        let spec = mine.spec.as_mut().expect("a spec");
        spec.renew_time = Some(MicroTime(Timestamp::now() - SignedDuration::from_secs(61)));
        assert_eq!(holder(&mine), None);
        assert_eq!(holder(&Lease::default()), None);
    }
}
