//! A worker's or a client's way to the schedules of a store: passes everything on.

use sunaba_runtime::store::{
    Expected, NewSchedule, ScheduleChangeError, SchedulePage, ScheduleQuery, ScheduleStore, StoreFuture, Triggered,
};
use sunaba_runtime::task::Payload;
use sunaba_runtime::task::schedule::{Schedule, ScheduleName};

use super::link::{Link, pass_on};

impl ScheduleStore for Link {
    pass_on! {
        put_schedule(new: NewSchedule) -> Result<Schedule, ScheduleChangeError>;
        pause_schedule(name: ScheduleName, paused: bool, expected: Expected) -> Result<Schedule, ScheduleChangeError>;
        trigger_schedule(name: ScheduleName) -> Result<Triggered, ScheduleChangeError>;
        delete_schedule(name: ScheduleName, expected: Expected) -> Result<Schedule, ScheduleChangeError>;
        schedule(name: ScheduleName) -> Option<Schedule>;
        schedule_input(name: ScheduleName) -> Option<Payload>;
        schedules(query: ScheduleQuery) -> SchedulePage;
    }
}
