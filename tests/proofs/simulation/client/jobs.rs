//! What clients do about jobs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sunaba_runtime::store::{CancelWish, PlanQuery, RetryJob, Store as _};
use sunaba_runtime::task::job::Awaited;

use super::super::journal::Fault;
use super::{Client, TRIES};

impl Client {
    pub(super) async fn submit_job(&mut self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let job = self.book.jobs.shapes.job(number);
        let can_repeat = job.spec.idempotency_key.is_some();
        for _ in 0..TRIES {
            let link = self.link.pass().await;
            match link.submit_job(job.clone()).await {
                Ok(Ok(_)) => return,
                Ok(Err(refused)) => return self.journal.problem(format_args!("a job was refused: {refused}")),
                // Nobody knows whether it was taken on, and without a key nobody may ask again.
                Err(_) if !can_repeat => return,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    pub(super) async fn cancel_job(&mut self) {
        let Some(id) = self.book.jobs.any(&mut self.random) else { return };
        let grace = self.random.bool().then(|| Duration::from_millis(self.random.u64(..3_000)));
        let wish = CancelWish { grace, ..CancelWish::default() };
        let link = self.link.pass().await;
        if let Ok(answer) = link.cancel_job(id, wish).await {
            self.journal.fired(Fault::JobCancel);
            if answer.is_none() {
                self.journal.problem(format_args!("job {id} is gone"));
            }
        }
    }

    /// What cannot be made over again is refused, and no more.
    pub(super) async fn retry_job(&mut self) {
        let Some(job) = self.book.jobs.any(&mut self.random) else { return };
        let link = self.link.pass().await;
        let names = match link.plan(PlanQuery::of(job, 100)).await {
            Ok(page) => page.tasks.into_iter().filter_map(|task| task.job).map(|link| link.name),
            Err(_) => return,
        };
        let from = names.filter(|_| self.random.u32(..6) == 0).map(Awaited::Node).collect();
        if let Ok(Ok(_)) = link.retry_job(RetryJob { job, from }).await {
            self.journal.fired(Fault::JobRetry);
        }
    }

    /// Whoever looks finds what was acknowledged, and learns of its tasks.
    pub(super) async fn look_at_job(&mut self) {
        let Some(id) = self.book.jobs.any(&mut self.random) else { return };
        let wait = Duration::from_millis(self.random.u64(..5_000));
        let link = self.link.pass().await;
        if let Ok(None) = link.wait_job(id, wait).await {
            self.journal.problem(format_args!("job {id} is gone"));
        }
        // What fails with the process fails: the next look will see the same.
        let _ = link.plan(PlanQuery::of(id, 100)).await;
    }
}
