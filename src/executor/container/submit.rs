//! Making a container and starting it, once.

use bollard::{
    Docker, models::ContainerStateStatusEnum as Status,
    query_parameters::CreateContainerOptionsBuilder,
};

use super::{
    ContainerExecutor, ask,
    body::{Plan, as_body},
    engine::Fault,
    handle::ContainerHandle,
    handover,
    pull::Order,
    settings::Pull,
    start::start,
};
use crate::{
    executor::{Found, Launch, QueryError, SubmitError},
    job::Handle,
};

impl ContainerExecutor {
    /// A container of this name is started only from `created`: one that has ended would run again.
    pub(super) async fn bring_up(&self, launch: &Launch) -> Result<Handle, SubmitError> {
        let plan = self.plan_of(launch).await.map_err(SubmitError::Rejected)?;
        if self.settings.pull == Pull::Always {
            // Once for each launch.
            self.fetch(&format!("{} {}", plan.image, launch.id), &plan.image)
                .await?;
        }
        let mut made = self.make(launch, &plan).await;
        if let Err(Unmade::NoImage(why)) = &made {
            self.fetch_missing(&plan.image, why).await?;
            made = self.make(launch, &plan).await;
        }
        let (docker, container) = match made {
            Ok(made) => made,
            Err(Unmade::Begun(handle)) => {
                self.hand_over(launch, &plan).await?;
                return Ok(handle.at(self.settings.engine.place()));
            }
            Err(Unmade::NoImage(why)) => return Err(SubmitError::Transient(why)),
            Err(Unmade::Failed(error)) => return Err(error),
        };
        self.hand_over(launch, &plan).await?;
        start(&docker, &container, launch).await?;
        Ok(pack(container, launch)?.at(self.settings.engine.place()))
    }

    /// Makes the container, or finds the one that an earlier submit has made.
    async fn make(&self, launch: &Launch, plan: &Plan) -> Result<(Docker, String), Unmade> {
        let connected = self.settings.engine.connect().await;
        let docker = connected.map_err(|fault| SubmitError::Transient(fault.to_string()))?;
        let asked = plan.for_engine(&docker).await;
        let body = asked.map_err(|fault| SubmitError::Transient(fault.to_string()))?;
        let body = as_body(body).map_err(SubmitError::Rejected)?;
        let name = launch.id.to_string();
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let created = docker.create_container(Some(options), body).await;
        match created.map_err(Fault::from) {
            Ok(created) => Ok((docker, created.id)),
            Err(fault) if fault.is_taken_name() => match existing(&docker, launch).await? {
                Existing::Created(container) => Ok((docker, container)),
                Existing::Begun(handle) => Err(Unmade::Begun(handle)),
            },
            Err(fault) if fault.is_absence() && fault.to_string().contains("image") => {
                Err(Unmade::NoImage(fault.to_string()))
            }
            Err(fault) => Err(fault.of_submit().into()),
        }
    }

    /// The image is missing: it is fetched if it may be.
    async fn fetch_missing(&self, image: &str, why: &str) -> Result<(), SubmitError> {
        if self.settings.pull == Pull::Never {
            return Err(SubmitError::Rejected(format!(
                "image {image} is not on the engine: bring it there, or set pull = \"missing\" ({why})"
            )));
        }
        self.fetch(image, image).await
    }

    async fn fetch(&self, key: &str, image: &str) -> Result<(), SubmitError> {
        let order = Order {
            engine: self.settings.engine.clone(),
            image: image.to_owned(),
            registry: self.settings.registry.clone(),
            limit: self.settings.pull_timeout,
        };
        self.pulls.fetch(key, order).await
    }

    pub(super) async fn plan_of(&self, launch: &Launch) -> Result<Plan, String> {
        let (settings, launch) = (self.settings.clone(), launch.clone());
        let planned = tokio::task::spawn_blocking(move || Plan::new(&settings, &launch)).await;
        planned.map_err(|error| error.to_string())?
    }

    /// Right before the start, since every submit writes the request anew.
    async fn hand_over(&self, launch: &Launch, plan: &Plan) -> Result<(), SubmitError> {
        let (attempt_dir, workdir, user) = (
            launch.attempt_dir.clone(),
            plan.workdir.clone(),
            self.settings.handed_to(),
        );
        let handed =
            tokio::task::spawn_blocking(move || handover::hand_over(&attempt_dir, workdir, user))
                .await;
        let failed = |why: String| {
            SubmitError::Transient(format!("cannot hand the job directory over: {why}"))
        };
        handed
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))
    }

    /// One that was made and not started belongs to a submit that was cut off: it goes, so that the next one begins anew.
    pub(super) async fn look_up(&self, launch: &Launch) -> Result<Found, QueryError> {
        let docker = self.settings.engine.connect().await?;
        match existing(&docker, launch).await {
            Ok(Existing::Begun(handle)) => {
                // It may not have won its claim yet, and whoever looks has written the request anew.
                let handed = match self.plan_of(launch).await {
                    Ok(plan) => self.hand_over(launch, &plan).await,
                    Err(why) => Err(SubmitError::Rejected(why)),
                };
                handed.map_err(|error| QueryError(error.to_string()))?;
                let handle = handle.at(self.settings.engine.place());
                Ok(Found::Attempts(vec![handle]))
            }
            Ok(Existing::Created(container)) => {
                // Not by force: if it was started meanwhile it stays, and is found the next time.
                match docker
                    .remove_container(&container, None)
                    .await
                    .map_err(Fault::from)
                {
                    Ok(()) => Ok(Found::Absent),
                    Err(fault) if fault.is_absence() => Ok(Found::Absent),
                    Err(fault) => Err(fault.into()),
                }
            }
            Err(SubmitError::Transient(_)) => Ok(Found::Absent),
            Err(error) => Err(QueryError(error.to_string())),
        }
    }
}

/// Why no container was made.
enum Unmade {
    /// There is one, and it has been started.
    Begun(Handle),
    NoImage(String),
    Failed(SubmitError),
}

impl From<SubmitError> for Unmade {
    fn from(error: SubmitError) -> Self {
        Self::Failed(error)
    }
}

/// What stands under a launch's name.
enum Existing {
    Created(String),
    Begun(Handle),
}

async fn existing(docker: &Docker, launch: &Launch) -> Result<Existing, SubmitError> {
    let name = launch.id.to_string();
    let found = match ask::inspect(docker, &name).await {
        Ok(found) => found,
        Err(fault) if fault.is_absence() => {
            return Err(SubmitError::Transient(
                "there is no such container".to_owned(),
            ));
        }
        Err(fault) => return Err(SubmitError::Ambiguous(fault.to_string())),
    };
    let container = found.id.unwrap_or_else(|| name.clone());
    let handle = ContainerHandle::new(container.clone(), launch);
    if !handle.is_on(found.config.and_then(|config| config.labels).as_ref()) {
        return Err(SubmitError::Rejected(format!(
            "there is a container {name} which this server has not made: remove it"
        )));
    }
    let status = found.state.and_then(|state| state.status);
    Ok(match status {
        Some(Status::CREATED) => Existing::Created(container),
        _ => Existing::Begun(handle.pack(launch.id)?),
    })
}

fn pack(container: String, launch: &Launch) -> Result<Handle, SubmitError> {
    Ok(ContainerHandle::new(container, launch).pack(launch.id)?)
}
