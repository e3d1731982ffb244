//! How a host puts schedules: their tasks are admitted as one that is submitted alone, and again whenever their package gets
//! another version.

use sunaba_store::{Expected, NewSchedule, Package, ScheduleChangeError, ScheduleQuery, StoreError};
use sunaba_task::schedule::{Schedule, ScheduleSpec, ScheduledTask};
use sunaba_task::{NewTask, PayloadInfo, When};

use super::Runtime;
use super::take::MAX_CHECKS;
use crate::admission::TaskRequest;
use crate::checks::Steps;
use crate::options;
use crate::schedule::{ScheduleRefusal, ScheduleRequest};

/// Schedules of a page when those of a package are gone through.
const PAGE: usize = 100;

impl Runtime {
    /// Makes a schedule, or changes it, if it is as it is expected to be. When this returns, that is on stable storage.
    ///
    /// # Errors
    /// [`ScheduleRefusal`]: its task cannot be, or is not allowed; it would never be due; somebody else has changed it.
    pub async fn put_schedule(
        &self,
        request: ScheduleRequest,
        expected: Expected,
    ) -> Result<Schedule, ScheduleRefusal> {
        self.put(request, expected, false).await
    }

    async fn put(
        &self,
        request: ScheduleRequest,
        expected: Expected,
        is_readmission: bool,
    ) -> Result<Schedule, ScheduleRefusal> {
        options::of_schedule(&request.task).map_err(ScheduleRefusal::Task)?;
        let operator = self.permits.operator(&self.packages, std::slice::from_ref(&request.task)).await?;
        let mut package = self.packages.package(&request.task.handler).map_err(ScheduleRefusal::Task)?;
        for check in 1.. {
            let admitted = self.admit(request.task.clone(), &package, &operator, &mut Steps::of_one()).await;
            let new = admitted.map_err(ScheduleRefusal::Task)?;
            self.look_ahead(&new).await?;
            let new = new_schedule(&request, new, expected, is_readmission);
            match self.store.put_schedule(new).await? {
                // Another version has been deployed meanwhile.
                Err(ScheduleChangeError::Unchecked { active }) if check < MAX_CHECKS => package = active.into(),
                put => return Ok(put?),
            }
        }
        Err(StoreError::Closed.into())
    }

    /// Admits the tasks of a package's schedules anew, for the version that it has now. What cannot be is left as it is, and its
    /// ticks say why they make no task.
    pub(crate) async fn readmit_schedules(&self, package: &Package) {
        let mut after = None;
        loop {
            let query = ScheduleQuery { package: Some(package.name.clone()), after, limit: PAGE };
            let page = match self.store.schedules(query).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::error!(%error, package = package.name, "its schedules are not admitted anew");
                    return;
                }
            };
            for schedule in page.schedules {
                if schedule.spec.task.spec.component != package.component
                    && let Err(error) = self.readmit(&schedule).await
                {
                    let problem = error.to_string();
                    let problem = problem.lines().next().unwrap_or_default();
                    tracing::warn!(schedule = %schedule.name, problem, "a schedule does not fit the version of its package");
                }
            }
            after = page.next;
            if after.is_none() {
                return;
            }
        }
    }

    async fn readmit(&self, schedule: &Schedule) -> Result<(), ScheduleRefusal> {
        let Some(mut request) = ScheduleRequest::of(schedule) else { return Ok(()) };
        let name = schedule.name.clone();
        let input = self.store.schedule_input(name.clone()).await?.ok_or(ScheduleChangeError::Unknown(name))?;
        (request.task.input, request.paused) = (Some(input), None);
        self.put(request, Expected::Revision(schedule.revision), true).await.map(drop)
    }
}

/// A schedule whose task was admitted.
fn new_schedule(
    request: &ScheduleRequest,
    NewTask { spec, expires, input, callbacks, .. }: NewTask,
    expected: Expected,
    is_readmission: bool,
) -> NewSchedule {
    // The input is kept once.
    let written = TaskRequest { input: None, ..request.task.clone() };
    let expires = match expires {
        Some(When::After(expires)) => Some(expires),
        _ => None,
    };
    let task = ScheduledTask {
        spec,
        input: PayloadInfo::of(&input),
        expires,
        callbacks,
        request: serde_json::to_string(&written).expect("texts, numbers and lists can be written"),
    };
    let spec = ScheduleSpec {
        cron: request.cron.trim().to_owned(),
        time_zone: request.time_zone.clone(),
        overlap: request.overlap,
        catch_up: request.catch_up,
        jitter: request.jitter,
        task,
    };
    NewSchedule { name: request.name.clone(), spec, input, paused: request.paused, expected, is_readmission }
}
