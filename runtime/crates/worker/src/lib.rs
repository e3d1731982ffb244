//! Runs tasks: leases them from a store, has an executor run them, decides what follows, settles.
//!
//! A worker has a session with its store, renewed while it lives, and so many slots. It is woken when there is work and
//! asks for nothing meanwhile. Of short tasks it leases some more than it has slots for, which wait in it for a moment. What runs the attempts is an [`Executor`](sunaba_task::Executor); what stands behind it is
//! none of the worker's business. A guest can hold up neither the renewal nor another slot.

mod admission;
mod ahead;
mod artifacts;
mod asks;
mod attempt;
mod config;
mod decider;
mod scale;
mod session;
mod settle;
mod slot_range;
mod supervise;
mod watch;
mod worker;

pub use admission::{Admission, Childless, NotAdmitted};
pub use config::WorkerConfig;
pub use scale::{Pressure, scaled};
pub use slot_range::{Slots, SlotsError};
pub use supervise::{Supervised, Supervision};
pub use watch::RunningAttempt;
pub use worker::{Worker, WorkerError};
