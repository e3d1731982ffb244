//! Long work in one task: what is done is kept, so that the next attempt goes on from there. And children one by one, for what
//! is only known while a handler runs.

use sunaba_sdk::prelude::*;

/// Rows between two checkpoints: each is a write on the host's disk.
const EVERY: u32 = 100;

#[data]
pub struct Rows {
    /// How many there are.
    rows: u32,
    /// The first attempt breaks off at this one, as if the machine that the rows come from had gone away.
    #[serde(default)]
    breaks_at: Option<u32>,
}

/// Where an attempt is.
#[data]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Rows that are done.
    done: u32,
    /// What came of them.
    sum: u64,
}

#[data]
#[derive(Debug, PartialEq, Eq)]
pub struct Done {
    /// Where this attempt began.
    from: u32,
    sum: u64,
}

/// Adds up rows, and goes on where the attempt before it has come to.
#[handler(retry_on = ["network"], backoff = "fixed(1ms)")]
pub fn resume(ctx: &Context, input: Rows) -> Result<Done, TaskError> {
    let mut place: Place = ctx.last_checkpoint()?.unwrap_or_default();
    let from = place.done;
    while place.done < input.rows {
        if ctx.attempt() == 1 && input.breaks_at == Some(place.done) {
            return Err(TaskError::new("network", format!("the rows broke off at {}", place.done)));
        }
        place = Place { done: place.done + 1, sum: place.sum + u64::from(place.done) };
        // Not to be able to keep it is no reason to end: without a store there is no next attempt either.
        if place.done.is_multiple_of(EVERY)
            && let Err(refusal) = ctx.checkpoint(&place)
        {
            log::warn!("row {} was not kept: {refusal}", place.done);
        }
    }
    Ok(Done { from, sum: place.sum })
}

/// Makes a child for each of so many parts while it runs. An attempt that goes over them again makes none twice.
#[handler]
pub fn spread(ctx: &Context, parts: u32) -> Result<Vec<String>, TaskError> {
    let part = |number: u32| {
        let child = resume::task(Rows { rows: number, breaks_at: None });
        Ok(ctx.submit(format!("part/{number}"), child)?.to_string())
    };
    (1..=parts).map(part).collect()
}

export!(resume, spread);

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::Attempt;

    #[test]
    fn next_attempt_goes_on_from_the_checkpoint() {
        let first = Attempt::new();
        let error = resume(&first.context(), Rows { rows: 1000, breaks_at: Some(250) }).expect_err("it breaks off");
        assert_eq!(error.kind(), "network");
        let kept: Place = first.last_checkpoint().expect("it was kept");
        assert_eq!(kept, Place { done: 200, sum: 199 * 200 / 2 });
        let second = Attempt::new().failures(1).checkpoint(&kept);
        let done = resume(&second.context(), Rows { rows: 1000, breaks_at: Some(250) }).expect("it goes on");
        assert_eq!(done, Done { from: 200, sum: 999 * 1000 / 2 });
    }

    #[test]
    fn without_a_store_all_is_done_at_once() {
        let attempt = Attempt::new().without_store();
        let done = resume(&attempt.context(), Rows { rows: 300, breaks_at: None }).expect("it needs none");
        assert_eq!(done, Done { from: 0, sum: 299 * 300 / 2 });
    }

    #[test]
    fn parts_are_made_once_however_often_they_are_asked_for() {
        let attempt = Attempt::new();
        let ids = spread(&attempt.context(), 3).expect("they are made");
        assert_eq!(spread(&attempt.context(), 3).expect("they are there"), ids);
        let names: Vec<_> = attempt.submitted().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["part/1", "part/2", "part/3"]);
    }
}
