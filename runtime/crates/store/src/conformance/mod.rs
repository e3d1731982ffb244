//! What every store must do, as tests that any implementation can run: `conformance_tests!(subject())`.
//!
//! A case begins with an empty store, sees it only through [`Store`], and lets time pass by the store's own clock.

mod access;
mod acts;
mod artifact_budget;
mod artifacts;
mod bodies;
mod budgets;
mod bulk;
mod callbacks;
mod checkpoint;
mod children;
mod completion;
mod control;
mod ends;
mod feed;
mod fuel_share;
mod idempotency;
mod job_events;
mod job_retry;
mod job_story;
mod jobs;
mod leases;
mod limits;
mod memory;
mod observed;
mod order;
mod overlaps;
mod queries;
mod rerun;
mod retries;
mod schedules;
mod search;
mod secrets;
mod unique;
mod usage;
mod versions;
mod waits;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use sunaba_task::{
    DEFAULT_MAX_HOSTS_LOST, Decision, Digest, Ending, HandlerChange, NewTask, Payload, Policy, QueueChange, SessionId,
    State, Task, TaskId, TaskSpec, Verdict, When,
};

use crate::{
    CancelWish, Cancelled, LeaseRequest, Leased, NAMES_PAGE, QueueStatus, Queues, SettleError, Settlement, Store,
};

pub use access::*;
use acts::*;
pub use artifact_budget::*;
pub use artifacts::*;
pub use bodies::*;
pub use budgets::*;
pub use bulk::*;
pub use callbacks::*;
pub use checkpoint::*;
pub use children::*;
pub use completion::*;
pub use control::*;
pub use ends::*;
pub use feed::*;
pub use fuel_share::*;
pub use idempotency::*;
pub use job_events::*;
pub use job_retry::*;
pub use job_story::*;
pub use jobs::*;
pub use leases::*;
pub use limits::*;
pub use memory::*;
pub use observed::*;
pub use order::*;
pub use overlaps::*;
pub use queries::*;
pub use rerun::*;
pub use retries::*;
pub use schedules::*;
pub use search::*;
pub use secrets::*;
pub use unique::*;
pub use usage::*;
pub use versions::*;
pub use waits::*;
pub use webhooks::*;

/// A store under test.
pub trait Subject {
    /// A handle to it. Two handles may be on two hosts.
    fn store(&self) -> Arc<dyn Store>;

    /// A handle to it on another host, whose own clock is an hour ahead. For a store that lives in its host's process there is
    /// no such host.
    fn store_on_another_host(&self) -> Arc<dyn Store> {
        self.store()
    }

    /// Lets time pass by the store's clock.
    fn advance(&self, by: Duration);

    /// Ends every process that uses it, as `kill -9` does, and starts again on what is durable.
    fn restart(&mut self);
}

/// Makes a test of each case, each with a subject of its own.
#[macro_export]
macro_rules! conformance_tests {
    ($subject:expr) => {
        $crate::conformance_tests!(@ $subject;
            // order
            higher_priorities_come_first_and_then_the_oldest
            worker_gets_only_what_is_in_its_queues
            no_more_are_leased_than_there_are_slots
            what_a_host_cannot_run_waits_uncharged_and_others_run
            tasks_of_other_versions_go_past_one_that_cannot_be_compiled
            standing_says_which_code_a_task_waits_for
            worker_that_waits_is_woken_when_its_host_can_run_more
            what_is_passed_over_takes_no_share
            delayed_task_is_not_leased_early
            task_for_an_instant_that_has_passed_is_due_at_once
            ten_thousand_tasks_in_one_call_keep_their_order
            task_that_comes_back_has_its_old_place
            weights_share_the_starts
            queue_without_work_saves_up_no_share
            low_priority_does_not_starve_with_aging
            aging_can_be_changed_while_tasks_wait
            aging_of_a_deep_queue_is_not_changed
            // limits
            queue_runs_no_more_than_its_concurrency
            handler_runs_no_more_than_its_concurrency_in_all_queues
            key_runs_no_more_than_its_share_and_others_pass_it
            blocked_key_does_not_hold_up_its_queue
            limit_that_is_raised_wakes_a_waiting_worker
            lost_host_gives_its_places_back
            rate_lets_so_many_start_and_no_more
            rate_of_a_key_leaves_other_keys_alone
            waiting_worker_is_woken_when_a_rate_lets_another_start
            full_queue_refuses_clearly_and_takes_on_again
            depth_is_counted_again_after_a_restart
            // control
            paused_queue_starts_nothing_until_it_goes_on
            paused_handler_lets_others_pass
            settings_are_remembered_after_a_restart
            settings_out_of_range_change_nothing
            settings_that_were_seen_are_changed_once
            queues_are_shown_with_what_they_hold
            queues_are_shown_page_by_page
            handlers_are_shown_with_what_they_do
            breaker_opens_probes_and_closes
            waiting_worker_is_woken_when_a_breaker_probes
            breaker_does_not_look_at_what_its_host_is_to_blame_for
            standing_says_why_a_task_waits
            standing_counts_who_comes_before
            // leases
            one_call_leases_no_more_than_can_be_read_at_once
            attempt_counts_from_the_lease_on
            stale_token_changes_nothing
            lease_that_runs_out_is_given_to_another_once
            renewed_lease_does_not_run_out
            session_that_ran_out_cannot_be_used
            closed_session_hands_back_and_charges_nothing
            task_that_loses_its_hosts_is_dead
            restart_takes_leases_back_at_once
            lease_that_nobody_took_is_given_back
            two_workers_never_have_the_same_task
            clocks_of_the_hosts_do_not_matter
            // checkpoint
            checkpoint_survives_a_failed_attempt
            checkpoint_survives_a_lost_host_and_a_restart
            checkpoint_of_a_zombie_changes_nothing
            checkpoint_is_gone_when_its_task_has_ended
            size_of_a_checkpoint_obeyed
            size_of_a_checkpoint_violated
            // retries
            success_is_terminal_and_has_its_output
            failed_task_comes_back_after_its_delay
            task_is_dead_after_its_last_failure
            snoozed_task_comes_back_and_is_charged_nothing
            cancelled_task_that_waits_is_never_leased
            cancel_of_a_running_task_is_told_and_wins
            cancel_of_a_running_task_outlives_its_host
            cancel_of_what_has_ended_or_never_was_changes_nothing
            fuel_of_all_attempts_is_handed_out
            // completion
            task_that_waits_is_completed_from_outside
            parent_that_was_completed_or_cancelled_is_not_listed_as_waiting
            task_that_nobody_completes_is_run_again
            completion_that_comes_first_meets_the_wait
            attempt_that_ends_by_itself_does_not_take_a_completion
            kept_completion_outlives_failures_and_restarts
            completion_of_a_running_task_outlives_its_host
            same_completion_is_the_same_answer_and_another_conflicts
            only_what_waits_or_has_begun_is_completed
            cancel_wins_over_a_completion
            tasks_that_wait_to_be_completed_are_listed
            job_that_waits_for_a_completion_is_not_stuck
            callback_follows_a_completion
            token_of_a_task_is_its_own_for_ever
            // artifacts
            artifacts_are_put_listed_and_read
            artifact_of_the_same_name_is_replaced
            equal_files_are_one_until_the_last_of_their_tasks_is_gone
            artifacts_go_when_their_task_is_not_kept_any_more
            artifact_of_a_lost_lease_is_not_put
            number_of_artifacts_obeyed_and_violated
            // idempotency
            same_key_and_body_give_the_same_task
            same_key_and_another_body_conflict
            key_is_remembered_after_a_restart
            // waits
            waiting_worker_is_woken_by_a_submit
            waiting_worker_is_woken_when_a_task_becomes_due
            worker_waits_no_longer_than_it_wants
            waiting_caller_is_told_of_the_end
            caller_waits_no_longer_than_it_wants
            // bodies
            large_bodies_come_back_whole
            everything_that_was_acknowledged_is_there_after_a_restart
            what_an_attempt_said_is_kept
            unknown_task_is_none_and_never_empty
            // queries
            newest_tasks_are_listed_first_page_by_page
            filters_leave_out_what_does_not_match
            package_has_the_component_that_was_deployed_last
            // feed
            events_come_in_the_order_in_which_things_happened
            every_end_of_a_task_is_told
            reader_goes_on_where_it_stopped_after_a_restart
            events_and_records_agree_after_a_restart
            pages_of_events_lead_to_the_end
            waiting_reader_is_woken_only_by_its_task
            reader_waits_no_longer_than_it_wants
            place_beyond_the_end_is_told_and_does_not_wait
            progress_of_a_lost_lease_is_not_told
            // unique
            unique_key_refuses_a_second_task_until_the_first_has_ended
            unique_key_is_free_after_every_end
            unique_key_gives_the_task_that_holds_it
            unique_key_of_a_window_is_held_from_the_submit_on
            task_that_is_replaced_is_cancelled_and_linked_both_ways
            task_that_has_begun_is_not_replaced_and_loses_the_key
            debounced_task_is_put_off_and_not_for_ever
            unique_key_is_held_after_a_restart
            idempotency_key_comes_before_the_unique_key
            // ends
            task_that_is_not_started_in_time_expires
            task_that_has_begun_does_not_expire
            task_of_which_nothing_was_run_still_expires
            expired_task_is_never_leased_however_many_there_are
            result_goes_after_its_time_and_the_record_later
            submitter_says_how_long_its_result_is_kept
            each_state_is_kept_as_long_as_the_operator_says
            retention_is_for_what_ends_from_then_on
            result_that_was_asked_for_outlives_a_rerun
            retention_out_of_range_is_refused
            idempotency_key_is_free_when_its_task_is_gone
            // callbacks
            callback_follows_its_end_and_is_told_of_it
            callback_follows_every_kind_of_failure
            callback_outlives_a_restart_together_with_the_end
            callback_has_no_callbacks_and_no_keys
            task_that_was_replaced_is_followed_by_its_successor_alone
            // rerun
            rerun_makes_a_new_task_and_changes_no_state
            rerun_can_have_another_input
            only_what_has_ended_is_run_again
            result_is_kept_as_long_though_its_task_was_run_again
            rerun_has_the_component_that_is_deployed_now
            dead_letter_that_was_run_again_goes_like_a_success
            task_is_run_again_once_where_that_is_asked_for
            // bulk
            task_that_waits_can_be_run_now
            deleted_task_leaves_nothing_behind
            only_what_has_ended_is_deleted
            bulk_cancels_page_by_page
            bulk_runs_now_what_waits_for_an_instant
            bulk_makes_again_what_failed_once
            bulk_deletes_what_has_ended
            // search
            tasks_are_found_by_tag
            ended_and_running_tasks_are_found_by_state
            tasks_are_found_by_time
            dead_letters_that_were_run_again_can_be_left_out
            every_query_goes_page_by_page
            found_tasks_are_the_same_after_a_restart
            // versions
            deploys_make_versions_and_the_same_again_makes_none
            rollback_goes_to_the_version_before_or_to_the_one_that_is_named
            newest_versions_are_kept_and_those_that_are_needed
            decider_is_kept_while_a_task_needs_it
            task_that_follows_runs_what_is_active_at_each_lease
            changed_signature_is_refused_while_tasks_that_follow_wait
            tasks_that_follow_are_counted_again_after_a_restart
            callback_of_a_forgotten_version_has_the_active_one
            follower_that_was_checked_against_another_version_is_not_taken_on
            plan_that_was_checked_against_another_version_is_not_taken_on
            rerun_whose_handler_takes_another_input_is_checked_first
            deploy_tells_which_components_nothing_runs
            // memory
            memory_of_a_session_obeyed
            memory_of_a_session_violated
            leases_ahead_of_slots_hold_no_memory
            large_task_is_not_starved_by_small_ones
            waiting_worker_is_woken_when_there_is_room
            room_comes_back_whatever_becomes_of_a_lease
            task_that_no_session_can_hold_is_dead_and_says_why
            task_that_only_another_session_can_hold_is_left_to_that
            task_waits_for_memory_only_of_a_session_that_could_run_it
            session_limits_what_its_attempts_may_use
            standing_says_that_a_task_waits_for_memory
            sum_of_memory_never_exceeds_a_budget
            queue_limits_what_its_attempts_may_use
            // usage
            wait_for_a_slot_is_a_wait_and_no_run
            receipts_are_summed_by_handler_and_by_tag
            every_end_of_an_attempt_is_summed_once
            tags_beyond_a_number_share_one_sum
            // schedules
            schedule_makes_one_task_at_each_tick
            tick_makes_one_task_over_restarts
            schedule_follows_the_clocks_of_its_zone
            missed_ticks_are_made_up_for_as_the_policy_says
            no_outage_makes_more_tasks_than_the_policy_allows
            jitter_puts_a_tick_off_by_the_same_after_a_restart
            schedules_are_changed_by_revision_and_listed_page_by_page
            ticks_of_a_paused_or_deleted_schedule_pass_by
            schedule_that_cannot_be_is_refused
            tick_that_can_make_no_task_is_noted_and_the_next_is_tried
            // overlaps
            tick_is_skipped_while_a_task_has_not_ended
            tick_waits_until_the_task_before_has_ended
            ticks_that_wait_obeyed_and_violated
            tick_cancels_the_task_before_and_waits_for_its_end
            tasks_of_one_schedule_at_a_time_obeyed_and_violated
            trigger_makes_a_task_now_as_the_policy_allows
            what_waits_of_a_paused_schedule_waits_for_its_end
            // webhooks
            delivery_is_made_with_what_it_tells_of
            deliveries_go_to_whoever_asks_for_them
            requests_to_one_endpoint_at_a_time_obeyed_and_violated
            endpoint_that_fails_is_disabled_and_is_tried_anew_when_somebody_says_so
            delivery_is_sent_again_as_the_same_message
            webhooks_are_changed_by_revision_and_outlive_a_restart
            secrets_of_a_webhook_overlap_at_a_rotation
            log_has_no_secrets_of_webhooks
            notice_is_delivered_to_those_who_want_it
            number_of_webhooks_obeyed
            number_of_webhooks_violated
            deliveries_are_kept_for_a_while
            retention_is_that_of_deliveries_too
            // observed
            what_happens_is_counted_by_queue_and_handler
            recoveries_are_told_with_what_they_came_from
            dead_tasks_that_are_kept_are_counted
            worker_that_is_silent_is_seen_to_be
            notes_are_kept_by_name_and_replaced
            notes_obeyed
            notes_violated
            // secrets
            secret_is_kept_changed_and_removed
            number_of_secrets_obeyed
            number_of_secrets_violated
            // keys and the log of changes
            key_is_kept_used_and_revoked
            number_of_keys_obeyed
            number_of_keys_violated
            change_is_logged_with_what_it_changed
            change_of_a_schedule_is_logged_with_what_it_changed
            change_of_what_is_kept_nowhere_is_logged
            what_changes_nothing_is_not_logged
            log_is_read_page_by_page
            // jobs
            chain_runs_in_its_order_and_its_job_succeeds
            join_runs_once_after_all_of_its_group
            job_without_tasks_succeeds
            failure_ends_those_who_wait_for_it
            failure_can_be_done_without
            failure_at_the_end_of_a_plan_is_ruled_by_the_job
            first_failure_stops_the_others_if_asked
            cancelled_job_has_ended_when_all_of_it_has
            task_that_is_cancelled_alone_is_a_failure_to_its_job
            job_goes_on_after_a_restart
            failure_counts_before_those_are_made_who_wait_for_it
            counts_of_a_job_are_right_after_a_restart
            same_key_and_plan_give_the_same_job
            plan_that_cannot_be_run_is_refused
            newest_jobs_are_listed_first
            outputs_are_given_page_by_page_in_the_order_of_names
            outputs_are_kept_as_long_as_their_job_runs
            fuel_of_a_job_is_summed
            // job_events
            events_of_a_job_are_those_of_its_tasks_and_its_own
            reader_of_a_job_is_woken_by_its_end
            low_budget_of_a_job_is_told_once
            feed_tells_of_what_stands_and_nothing_of_a_job_that_has_ended
            // job_retry
            retried_job_runs_what_has_not_succeeded_and_nothing_else
            job_is_retried_from_a_task_that_has_succeeded
            retried_job_that_fails_again_is_undone
            what_stands_in_a_retried_job_has_its_artifacts
            bad_retries_are_refused_and_change_nothing
            retry_after_a_restart_and_an_hour_reuses_outputs
            job_is_retried_from_a_group
            what_was_undone_is_run_anew
            job_that_is_not_whole_is_not_retried
            // what is told of jobs
            receipts_of_a_job_are_summed
            founded_job_has_spent_what_all_attempts_of_its_task_have_used
            what_a_task_was_to_wait_for_is_kept_as_long_as_the_task
            // budgets
            attempts_of_a_job_obeyed_and_violated
            artifact_bytes_of_a_job_obeyed
            artifact_bytes_of_a_job_violated
            share_of_artifact_bytes_obeyed_and_violated
            own_limit_of_artifact_bytes_is_no_budget
            last_attempt_that_has_used_all_fuel_has_spent_the_budget
            fuel_of_a_job_obeyed_and_violated
            share_of_fuel_obeyed
            share_of_fuel_violated
            task_that_waits_for_fuel_lets_others_of_its_lane_start
            task_that_waits_for_fuel_is_not_overtaken_by_its_own_job
            task_whose_share_was_too_little_goes_on_after_a_restart
            time_of_a_job_obeyed_and_violated
            what_has_succeeded_is_undone_the_last_first
            what_cannot_be_undone_ends_the_undoing
            cancelled_job_is_undone_if_it_was_to_be
            cancel_of_a_job_that_is_undone_changes_nothing
            job_that_has_spent_its_attempts_is_undone
            // children
            job_knows_the_queues_of_all_its_tasks
            parent_ends_with_the_output_of_its_join
            plans_of_no_child_and_of_one_end
            plans_below_plans_end_from_below
            failure_of_a_child_is_its_parents_matter
            join_that_fails_fails_its_parent
            plan_of_a_task_can_have_its_job_undone
            cancel_goes_down_the_tree
            depth_and_tasks_of_a_tree_obeyed_and_violated
            submitted_child_is_there_once
            parent_that_completes_waits_for_its_children
            children_do_not_outlive_a_parent_that_gives_up
            plan_of_a_task_that_cannot_be_run_is_refused
            tree_goes_on_after_a_restart
            parent_sees_its_own_children
        );
    };
    (@ $subject:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::run(async {
                    let mut subject = $subject;
                    $crate::conformance::$case(&mut subject).await;
                });
            }
        )*
    };
}

/// Runs a case.
///
/// # Panics
/// The store does not do what it must.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        // A bound on real time, for a store that never answers.
        tokio::time::timeout(Duration::from_secs(120), case).await.expect("the store answers");
    });
}
