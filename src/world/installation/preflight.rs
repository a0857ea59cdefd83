//! Checks the permissions on a cluster before anything is done.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};

use super::{Installation, InstallationError};
use crate::world::access::Permission;

/// The permissions that the cluster denies.
pub async fn missing(
    installation: &Installation,
    wanted: &BTreeSet<Permission>,
) -> Result<Vec<Permission>, InstallationError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(installation.client.clone());
    let asked = wanted.iter().map(|permission| {
        let (reviews, review) = (reviews.clone(), review(permission, &installation.namespace));
        async move { reviews.create(&PostParams::default(), &review).await }
    });
    let answers = try_join_all(asked)
        .await
        .map_err(|error| InstallationError::asking("asking what may be done (SelfSubjectAccessReview)", error))?;
    let allowed = answers
        .into_iter()
        .map(|answer| answer.status.is_some_and(|status| status.allowed));
    let refused = wanted.iter().zip(allowed).filter(|(_, allowed)| !allowed);
    Ok(refused.map(|(permission, _)| permission.clone()).collect())
}

fn review(permission: &Permission, namespace: &str) -> SelfSubjectAccessReview {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (permission.resource, None),
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(permission.namespace.as_deref().unwrap_or(namespace).to_owned()),
                verb: Some(permission.verb.to_owned()),
                group: Some(permission.group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource,
                name: permission.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::access::{Ask, logs_in};

    #[test]
    fn each_permission_is_asked_for_in_its_namespace() {
        let asked = |permission: &Permission| {
            let attributes = review(permission, "agents")
                .spec
                .resource_attributes
                .expect("attributes");
            (attributes.namespace, attributes.resource, attributes.subresource)
        };
        let text = |text: &str| Some(text.to_owned());
        let own = Ask::ReadLogs.permissions(&crate::vocabulary::names::contract());
        assert_eq!(asked(&own[0]), (text("agents"), text("pods"), text("log")));
        let [list, read] = logs_in("edge");
        assert_eq!(asked(&list), (text("edge"), text("pods"), None));
        assert_eq!(asked(&read), (text("edge"), text("pods"), text("log")));
    }
}
