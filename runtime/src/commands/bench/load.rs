//! The load: clients that submit one after another, or at a rate that they share, until the time is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use sunaba_runtime::server::api::{Submit, SubmittedView};
use sunaba_runtime::task::StateName;
use sunaba_runtime::{Client, ClientError};
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::TAG;
use super::tally::Tally;
use crate::exit::{CommandError, Exit};

/// How long what was begun may take once the time is over.
const REST: Duration = Duration::from_secs(30);
/// How long a client rests after an error, and after several at most: a host that refuses is not helped by being asked at once.
const PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// What is to be sent.
pub(super) struct Load {
    pub(super) handler: String,
    pub(super) input: Box<RawValue>,
    pub(super) queue: Option<String>,
    pub(super) batch: u32,
    pub(super) rate: Option<f64>,
    pub(super) duration: Duration,
    pub(super) waits: bool,
}

/// What came of it.
pub(super) struct Done {
    pub(super) tally: Tally,
    pub(super) took: Duration,
    pub(super) interrupted: bool,
}

/// What all clients have in common.
struct Plan {
    submit: Submit,
    /// The same as JSON, when several go at a time.
    text: Option<Box<RawValue>>,
    batch: usize,
    rate: Option<f64>,
    waits: bool,
    begun: Instant,
    end: Instant,
    /// Turns that were taken.
    turns: AtomicU64,
}

impl Load {
    /// Sends until the time is over or this signal comes, and then waits for what is on its way, for a while.
    ///
    /// # Errors
    /// A client has ended by itself.
    pub(super) async fn run(self, clients: Vec<Client>, mut interrupt: Signal) -> Result<Done, CommandError> {
        let submit = Submit {
            handler: self.handler,
            input: Some(self.input),
            queue: self.queue,
            tags: vec![TAG.into()],
            ..Submit::default()
        };
        let failed =
            |error: &dyn std::fmt::Display| CommandError::new(Exit::Error, format!("the test failed: {error}"));
        let text = (self.batch > 1).then(|| to_raw_value(&submit)).transpose().map_err(|error| failed(&error))?;
        let (batch, begun) = (self.batch as usize, Instant::now());
        let (rate, waits, end, turns) = (self.rate, self.waits, begun + self.duration, AtomicU64::new(0));
        let plan = Arc::new(Plan { submit, text, batch, rate, waits, begun, end, turns });
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        for client in clients {
            let (plan, mut stopped) = (Arc::clone(&plan), stopped.clone());
            running.spawn(async move { plan.client(&client, &mut stopped).await });
        }
        let (mut tally, mut interrupted) = (Tally::default(), false);
        loop {
            // Who loses goes on: neither a client nor the signal is dropped.
            tokio::select! {
                joined = running.join_next() => match joined {
                    None => break,
                    Some(Ok(seen)) => tally.merge(&seen),
                    Some(Err(error)) => return Err(failed(&error)),
                },
                _ = interrupt.recv(), if !interrupted => {
                    interrupted = true;
                    stop.send_replace(true);
                }
            }
        }
        Ok(Done { tally, took: begun.elapsed(), interrupted })
    }
}

impl Plan {
    /// When the next request is due. None: the time is over.
    fn turn(&self) -> Option<Instant> {
        let due = match self.rate {
            None => Instant::now(),
            Some(rate) => {
                let turn = self.turns.fetch_add(1, Ordering::Relaxed);
                self.begun + Duration::from_secs_f64(turn as f64 / rate)
            }
        };
        (due < self.end).then_some(due)
    }

    async fn client(&self, client: &Client, stopped: &mut watch::Receiver<bool>) -> Tally {
        let (mut tally, mut failures) = (Tally::default(), 0);
        while let Some(due) = self.turn() {
            let (requests, sent) = (tally.requests, Instant::now() >= self.end);
            // At a rate that nobody keeps up with, what is due is not sent when the time is over.
            if sent {
                break;
            }
            // Who loses: what was sent may be done all the same, and is counted as unanswered.
            let is_good = tokio::select! {
                done = timeout_at(self.end + REST, self.one(client, due, &mut tally)) => done.ok(),
                _ = stopped.changed() => None,
            };
            match is_good {
                None => {
                    tally.unanswered += u64::from(tally.requests == requests && Instant::now() >= due);
                    break;
                }
                Some(true) => failures = 0,
                Some(false) => {
                    let pause = (PAUSE * 2_u32.saturating_pow(failures)).min(MAX_PAUSE);
                    failures = (failures + 1).min(16);
                    tokio::select! {
                        () = sleep(pause) => {}
                        _ = stopped.changed() => break,
                    }
                }
            }
        }
        tally
    }

    /// One request, and what it counts for; whether all of it went well.
    async fn one(&self, client: &Client, due: Instant, tally: &mut Tally) -> bool {
        sleep_until(due).await;
        let answer = match &self.text {
            Some(text) => client.submit_tasks(vec![text.clone(); self.batch]).await.map(|all| all.tasks),
            None => client
                .submit_task(&self.submit)
                .await
                .map(|task| vec![SubmittedView::Taken { id: task.id, state: task.state, created: true }]),
        };
        let answered = Instant::now();
        let submitted = match answer {
            Ok(submitted) => submitted,
            Err(error) => {
                // What has no answer at all is no request that was answered.
                tally.requests += u64::from(error.problem().is_some());
                tally.error(code(&error), 1);
                return false;
            }
        };
        tally.requests += 1;
        let (mut taken, mut is_good) = (Vec::new(), true);
        for one in submitted {
            match one {
                SubmittedView::Taken { id, .. } => taken.push(id),
                SubmittedView::Refused { problem } => {
                    tally.error(&problem.code, 1);
                    is_good = false;
                }
            }
        }
        tally.tasks += taken.len() as u64;
        if is_good {
            tally.answers.add(answered.duration_since(due));
        }
        if self.waits {
            for id in taken {
                is_good &= self.end_of(client, &id, due, tally).await;
            }
        }
        is_good
    }

    async fn end_of(&self, client: &Client, id: &str, due: Instant, tally: &mut Tally) -> bool {
        let Ok(id) = id.parse() else {
            tally.error("protocol", 1);
            return false;
        };
        match client.wait(id).await {
            Ok(task) => {
                tally.ends.add(Instant::now().duration_since(due));
                // What a handler makes of it is no fault of the host.
                let is_success = task.state == StateName::Succeeded;
                *(if is_success { &mut tally.succeeded } else { &mut tally.not_succeeded }) += 1;
                true
            }
            Err(error) => {
                tally.error(code(&error), 1);
                false
            }
        }
    }
}

/// By which an error is counted: the host's own code, or what the client has seen.
fn code(error: &ClientError) -> &str {
    match error {
        ClientError::Unreachable { .. } => "unreachable",
        ClientError::Late { .. } => "late",
        ClientError::TooLong { .. } => "too-long",
        error => error.code().unwrap_or("protocol"),
    }
}
