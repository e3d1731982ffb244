//! Every way in which a handler can fail, and what the host makes of each.

use sunaba_sdk::prelude::*;

/// What the handler should do.
#[data]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Request {
    /// Complete.
    Succeed,
    /// Fail by a plain `?`: kind `error`, retried.
    Plain,
    /// Fail with a kind of its own, which `retry_on` names: retried.
    Network,
    /// Fail with a kind that `retry_on` does not name: not retried.
    Malformed,
    /// Fail in a way that no retry can mend.
    Fatal,
    /// Ask to be retried after so many seconds.
    RetryAfter { seconds: u64 },
    /// Succeed when it is the last attempt, and fail before.
    LastAttempt,
    /// Ask to be run again later, without a failure.
    Snooze { seconds: u64 },
    /// Panic.
    Panic,
}

#[data]
pub struct Done {
    /// The attempt that succeeded.
    attempt: u32,
}

#[data]
struct Upstream {
    status: u16,
}

/// Fails in the way that the input asks for.
#[handler(
    max_attempts = 5,
    backoff = "exponential(1s, max = 1m)",
    retry_on = ["error", "network"],
    timeout = "10s",
    memory = "16MiB"
)]
pub fn retry_or_fail(ctx: &Context, input: Request) -> Result<Outcome<Done>, TaskError> {
    let done = Outcome::Complete(Done { attempt: ctx.attempt() });
    match input {
        Request::Succeed => Ok(done),
        Request::Plain => {
            let _number: u32 = "many".parse()?;
            Ok(done)
        }
        Request::Network => {
            // `detail` is for programs, the message for people.
            Err(TaskError::new("network", "the upstream answered 503").with_detail(&Upstream { status: 503 }))
        }
        Request::Malformed => {
            let _number: u32 = "many".parse().error_kind("malformed")?;
            Ok(done)
        }
        Request::Fatal => Err(TaskError::fatal("the account is closed").with_kind("account-closed")),
        Request::RetryAfter { seconds } => Err(TaskError::retry_after(Duration::from_secs(seconds), "slow down")),
        Request::LastAttempt if ctx.is_last_attempt() => Ok(done),
        Request::LastAttempt => {
            Err(TaskError::new("network", format!("attempt {} of {}", ctx.attempt(), ctx.max_attempts())))
        }
        Request::Snooze { seconds } => Ok(Snooze::after(Duration::from_secs(seconds)).into()),
        Request::Panic => panic!("the handler panicked on purpose"),
    }
}

export!(retry_or_fail);

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::Disposition;
    use sunaba_sdk::testing::{Attempt, run_json};

    fn fail(how: &str) -> TaskError {
        run_json::<retry_or_fail>(&Attempt::new().context(), &format!(r#"{{"how":"{how}"}}"#))
            .expect_err("it should fail")
    }

    #[test]
    fn each_failure_has_its_kind_and_disposition() {
        for (how, kind, disposition) in [
            ("plain", "error", Disposition::ByPolicy),
            ("network", "network", Disposition::ByPolicy),
            ("malformed", "malformed", Disposition::ByPolicy),
            ("fatal", "account-closed", Disposition::Fatal),
        ] {
            let error = fail(how);
            assert_eq!((error.kind(), error.disposition()), (kind, disposition), "{how}");
        }
    }

    #[test]
    fn the_last_attempt_succeeds() {
        let attempt = Attempt::new().max_attempts(3).failures(2);
        assert!(retry_or_fail(&attempt.context(), Request::LastAttempt).is_ok());
        assert_eq!(fail("last-attempt").message(), "attempt 1 of 4");
    }

    #[test]
    fn other_json_is_refused_before_the_handler_runs() {
        let error = fail("dance");
        assert_eq!((error.kind(), error.disposition()), ("invalid-input", Disposition::Fatal));
    }
}
