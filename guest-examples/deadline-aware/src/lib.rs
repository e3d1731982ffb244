//! A handler that knows when to stop: it does as much as its limits allow and returns what it has.

use sunaba_sdk::prelude::*;

#[data]
pub struct Search {
    /// Look for prime numbers up to here.
    up_to: u64,
}

#[data]
#[derive(Debug)]
pub struct Found {
    primes: u64,
    /// The last number that was looked at.
    reached: u64,
    /// Why the search ended.
    because: Because,
}

#[data]
#[derive(Debug, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    Done,
    LittleTime,
    LittleFuel,
    Cancelled,
}

/// What is kept back for returning in good order.
const RESERVED_TIME: Duration = Duration::from_millis(100);
const RESERVED_FUEL: u64 = 1_000_000;
/// Asking the host costs more than a step, so it is asked now and then.
const STEPS_BETWEEN_LOOKS: u64 = 1_000;

/// Counts prime numbers for as long as the attempt may last.
#[handler(timeout = "2s", fuel = 5_000_000_000)]
pub fn deadline_aware(ctx: &Context, input: Search) -> Result<Found, TaskError> {
    let mut found = Found { primes: 0, reached: 0, because: Because::Done };
    for number in 1..=input.up_to {
        if number % STEPS_BETWEEN_LOOKS == 1
            && let Some(because) = reason_to_stop(ctx)
        {
            found.because = because;
            return Ok(found);
        }
        found.primes += u64::from(is_prime(number));
        found.reached = number;
    }
    Ok(found)
}

export!(deadline_aware);

fn reason_to_stop(ctx: &Context) -> Option<Because> {
    let left = ctx.remaining();
    match () {
        () if ctx.is_cancelled() => Some(Because::Cancelled),
        // A limit that is not there is never near.
        () if left.time.is_some_and(|time| time < RESERVED_TIME) => Some(Because::LittleTime),
        () if left.fuel.is_some_and(|fuel| fuel < RESERVED_FUEL) => Some(Because::LittleFuel),
        () => None,
    }
}

fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::Attempt;

    fn search(attempt: Attempt) -> Found {
        deadline_aware(&attempt.context(), Search { up_to: 5_000 }).expect("it always returns")
    }

    #[test]
    fn finds_all_when_nothing_is_near() {
        let found = search(Attempt::new());
        assert_eq!((found.primes, found.reached, found.because), (669, 5_000, Because::Done));
    }

    #[test]
    fn stops_in_time() {
        let found = search(Attempt::new().remaining_time(Duration::from_millis(50)));
        assert_eq!((found.reached, found.because), (0, Because::LittleTime));
        assert_eq!(search(Attempt::new().remaining_fuel(1)).because, Because::LittleFuel);
        assert_eq!(search(Attempt::new().cancelled()).because, Because::Cancelled);
    }
}
