//! Whether the cluster is there, and lets us do what must be done.

use futures_util::StreamExt;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::{
    KubernetesExecutor,
    cluster::{Cluster, ask},
    fault::Fault,
    manifest::Manifests,
    settings::Supervisor,
};
use crate::executor::{Launch, QueryError};

/// What our account must be allowed: verb, group, resource, subresource.
const NEEDED: [(&str, &str, &str, &str); 11] = [
    ("create", "batch", "jobs", ""),
    ("get", "batch", "jobs", ""),
    ("list", "batch", "jobs", ""),
    ("delete", "batch", "jobs", ""),
    ("list", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("get", "", "pods", "log"),
    ("create", "", "secrets", ""),
    ("get", "", "secrets", ""),
    ("patch", "", "secrets", ""),
    ("delete", "", "secrets", ""),
];

/// Questions at once.
const AT_ONCE: usize = 4;

impl KubernetesExecutor {
    /// In words, for people.
    pub(super) async fn examine(&self) -> Result<String, QueryError> {
        let cluster = self.cluster().await?;
        let version = ask(cluster.client.apiserver_version()).await;
        let version = match version {
            Ok(version) => version.git_version,
            Err(fault) => return Err(self.settings.access.noted(fault).await.into()),
        };
        let asked = NEEDED.iter().map(|needed| may(&cluster, *needed));
        let asked: Vec<_> = asked.collect();
        let answers: Vec<_> = futures_util::stream::iter(asked)
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut missing = Vec::new();
        for (needed, answer) in NEEDED.iter().zip(answers) {
            if !answer? {
                missing.push(describe(*needed));
            }
        }
        let namespace = &cluster.namespace;
        if !missing.is_empty() {
            return Err(QueryError(format!(
                "our account may not {} in namespace {namespace}: give it the Role that README.md shows",
                missing.join(", ")
            )));
        }
        let address = cluster.address.trim_end_matches('/');
        Ok(format!(
            "Kubernetes {version} at {address}, namespace {namespace}, {}{}",
            self.image(),
            self.program_words()
        ))
    }

    /// Has the API judge the Job of a launch without making it.
    pub(super) async fn try_out(&self, launch: &Launch) -> Result<String, QueryError> {
        let manifests = Manifests::new(&self.settings, None, launch).map_err(QueryError)?;
        let cluster = self.cluster().await?;
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match ask(cluster.jobs().create(&params, &manifests.job)).await {
            Ok(_) => Ok("the API would take its Job".to_owned()),
            Err(fault) => Err(self.settings.access.noted(fault).await.into()),
        }
    }

    fn image(&self) -> String {
        match &self.settings.pod.image {
            Some(image) => format!("image {image}"),
            None => "each model names its image".to_owned(),
        }
    }

    fn program_words(&self) -> String {
        match &self.settings.supervisor {
            Supervisor::Image(image) => format!(", supervisor from {image}"),
            Supervisor::Path(path) => format!(", supervisor at {} in it", path.display()),
            Supervisor::Shared => ", supervisor on a volume".to_owned(),
        }
    }
}

async fn may(
    cluster: &Cluster,
    (verb, group, resource, subresource): (&str, &str, &str, &str),
) -> Result<bool, Fault> {
    let some = |text: &str| Some(text.to_owned());
    let attributes = ResourceAttributes {
        namespace: Some(cluster.namespace.clone()),
        verb: some(verb),
        group: some(group),
        resource: some(resource),
        subresource: some(subresource).filter(|text| !text.is_empty()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = ask(reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

fn describe((verb, _, resource, subresource): (&str, &str, &str, &str)) -> String {
    match subresource {
        "" => format!("{verb} {resource}"),
        subresource => format!("{verb} {resource}/{subresource}"),
    }
}
