//! A decider that was built with the standard library, and looks at the clock: another answer each time, if it could.

use std::time::{SystemTime, UNIX_EPOCH};

use sunaba_decider::prelude::*;

#[expect(clippy::disallowed_methods, reason = "it is what must not work")]
fn decide(situation: Situation) -> Decision {
    if situation.failure_kind().is_none() {
        // Nothing is asked of the host on this way, so that it is as good as any other.
        return Decision::accept("it did its work");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Decision::retry_after(Duration::from_secs(now % 60), "as the clock says")
}

sunaba_decider::export!(decide, with std);
