//! The same lives on one thread, for tools that count instructions: who waits, in which turn, is then the same each time.
//!
//! `SUNABA_BENCH_COUNTED=ours:12800 valgrind --tool=callgrind operations`, and the same with another number of tasks (or with
//! `bare`): the difference of two runs is that of the tasks alone.

use sunaba_bench::Stopwatch;

use crate::bare::Bare;
use crate::ours::Ours;
use crate::{WAITERS, folder};

/// What a life writes is measured with so many.
const SAMPLE: usize = 1_280;

#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
pub(crate) fn counted(what: &str) {
    let (way, tasks) = what.split_once(':').expect("`ours:12800` or `bare:12800`");
    let tasks = tasks.parse().expect("a number of tasks");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a thread");
    let (folder, beside) = (folder(), folder());
    let ours = Ours::on_this_thread(&runtime, folder.path());
    let written = ours.writes_of(&runtime, WAITERS, SAMPLE);
    println!("{written:?}");
    let began = Stopwatch::start();
    match way {
        "ours" => _ = runtime.block_on(ours.lives(WAITERS, tasks)),
        _ => {
            let bare = Bare::on_this_thread(&runtime, beside.path(), written);
            _ = runtime.block_on(bare.lives(WAITERS, tasks));
        }
    }
    println!("{tasks} tasks in {:?}", began.elapsed());
}
