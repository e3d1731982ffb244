//! Random trees of tasks, run to their ends through failures, retries, waits, cancels, budgets and restarts, with as little done in
//! a turn as one likes: each job ends, and every claim about it holds. `SUNABA_SEEDS` has more of them run, `SUNABA_SEED` one alone.

mod book;
mod claims;
mod crash;
mod found;
mod fuel;
mod large;
mod plans;
mod stops;
mod work;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use sunaba_task::job::{Job, JobCause, JobState};

use plans::Trouble;
use world::World;

const SEEDS: u64 = 120;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(work)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs each of these seeds; says which of them it was that failed.
fn each_seed<T>(first: u64, run: impl Fn(u64) -> T) -> Vec<T> {
    let seeds = match variable("SUNABA_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + variable("SUNABA_SEEDS").unwrap_or(SEEDS),
    };
    let one = |seed| {
        catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            match text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())) {
                Some(text) => panic!("with SUNABA_SEED={seed}: {}", text.lines().next().unwrap_or_default()),
                None => resume_unwind(panic),
            }
        })
    };
    seeds.map(one).collect()
}

/// What a story came to.
struct Told {
    jobs: Vec<Job>,
    log: Vec<String>,
}

/// One or two jobs from their submit to their end, and perhaps once more.
async fn story(seed: u64, trouble: Trouble) -> Told {
    let mut world = World::new(seed, trouble).await;
    for _ in 0..world.random.usize(1..3) {
        let job = plans::job(&mut world.random, trouble);
        world.submit(job).await;
    }
    world.run().await;
    for old in world.jobs.clone() {
        if world.random.u8(..3) == 0 {
            world.retry(old).await;
        }
    }
    world.run().await;
    let mut jobs = Vec::new();
    for id in world.jobs.clone() {
        jobs.push(claims::has_ended_well(&world, id).await);
    }
    claims::nothing_is_left(&world).await;
    Told { jobs, log: world.log }
}

fn count(all: &[Told], is_one: impl Fn(&Job) -> bool) -> usize {
    all.iter().flat_map(|told| &told.jobs).filter(|job| is_one(job)).count()
}

/// How many lines of the logs begin so.
fn said(all: &[Told], words: &str) -> usize {
    all.iter().flat_map(|told| &told.log).filter(|line| line.starts_with(words)).count()
}

#[test]
fn every_tree_ends_as_its_rules_say() {
    let all = each_seed(0, |seed| block_on(story(seed, Trouble { restarts: true, ..Trouble::default() })));
    let deep = all.iter().filter(|told| told.log.iter().any(|line| line.starts_with("lease 3"))).count();
    let failed = count(&all, |job| job.state == JobState::Failed);
    let succeeded = count(&all, |job| job.state == JobState::Succeeded);
    let undone = count(&all, |job| job.compensates && job.state == JobState::Failed);
    let again = count(&all, |job| job.origin.is_some());
    // They are of every kind, or this shows little.
    let few = [deep, failed, succeeded, undone, again].into_iter().min();
    assert!(few >= Some(10) || variable("SUNABA_SEED").is_some(), "{deep} {failed} {succeeded} {undone} {again}");
}

#[test]
fn every_tree_in_trouble_ends_within_its_budgets_with_all_that_it_has() {
    let all = each_seed(1_000, |seed| block_on(story(seed, Trouble::ALL)));
    let spent = count(&all, |job| matches!(job.cause, Some(JobCause::Budget(_))));
    let cancelled = count(&all, |job| job.state == JobState::Cancelled);
    let shares = said(&all, "ran out of Share");
    let few = [spent, cancelled, shares].into_iter().min();
    assert!(few >= Some(10) || variable("SUNABA_SEED").is_some(), "{spent} {cancelled} {shares}");
}

/// What a failure means is told to whoever waited for it, also if that one was cancelled before.
#[test]
fn every_tree_without_those_who_waited_ends_as_its_rules_say() {
    let all = each_seed(2_000, |seed| block_on(story(seed, Trouble { waiters: true, ..Trouble::default() })));
    let cancelled = said(&all, "cancel a waiter");
    let failed = count(&all, |job| job.state == JobState::Failed);
    let succeeded = count(&all, |job| job.state == JobState::Succeeded);
    let few = [cancelled, failed, succeeded].into_iter().min();
    assert!(few >= Some(10) || variable("SUNABA_SEED").is_some(), "{cancelled} {failed} {succeeded}");
}

#[test]
fn same_seed_does_the_same_again() {
    for seed in 0..10 {
        let told = || block_on(story(seed, Trouble::ALL));
        let (once, again) = (told(), told());
        assert_eq!((once.log, once.jobs), (again.log, again.jobs), "{seed}");
    }
}
