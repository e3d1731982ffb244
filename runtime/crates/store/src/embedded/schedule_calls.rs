//! The calls of a store that are about schedules.

use sunaba_task::Payload;
use sunaba_task::schedule::{Schedule, ScheduleName};

use crate::{
    Expected, NewSchedule, ScheduleChangeError, SchedulePage, ScheduleQuery, ScheduleStore, StoreFuture, Triggered,
};

use super::EmbeddedStore;

impl ScheduleStore for EmbeddedStore {
    fn put_schedule(&self, new: NewSchedule) -> StoreFuture<'_, Result<Schedule, ScheduleChangeError>> {
        Box::pin(self.change(|planner, turn| planner.put_schedule(turn, new)))
    }

    fn pause_schedule(
        &self,
        name: ScheduleName,
        paused: bool,
        expected: Expected,
    ) -> StoreFuture<'_, Result<Schedule, ScheduleChangeError>> {
        Box::pin(self.change(move |planner, turn| planner.pause_schedule(turn, &name, paused, expected)))
    }

    fn trigger_schedule(&self, name: ScheduleName) -> StoreFuture<'_, Result<Triggered, ScheduleChangeError>> {
        Box::pin(self.change(move |planner, turn| planner.trigger_schedule(turn, &name)))
    }

    fn delete_schedule(
        &self,
        name: ScheduleName,
        expected: Expected,
    ) -> StoreFuture<'_, Result<Schedule, ScheduleChangeError>> {
        Box::pin(self.change(move |planner, turn| planner.delete_schedule(turn, &name, expected)))
    }

    fn schedule(&self, name: ScheduleName) -> StoreFuture<'_, Option<Schedule>> {
        Box::pin(self.read(move |planner, turn| planner.schedule(turn, &name)))
    }

    fn schedule_input(&self, name: ScheduleName) -> StoreFuture<'_, Option<Payload>> {
        Box::pin(self.read(move |planner, turn| planner.schedule_input(turn, &name)))
    }

    fn schedules(&self, query: ScheduleQuery) -> StoreFuture<'_, SchedulePage> {
        Box::pin(self.read(move |planner, turn| planner.schedules(turn, &query)))
    }
}
