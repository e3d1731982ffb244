//! A saga: steps that each change something elsewhere, and what takes them back when a later one cannot be done.
//!
//! There is no transaction over a flight, a hotel and a car, which three companies sell. There is a handler that undoes each
//! booking. The plan says which, and that it is compensated: when a step fails for good, the host undoes those that have
//! succeeded, the last first. Whoever undoes gets what the one before it got, and what it gave.

use sunaba_sdk::prelude::*;

#[data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trip {
    /// Who travels. A booking is found again by this.
    traveller: String,
    /// Where to.
    city: String,
    /// What is sold out, if anything is: `flight`, `hotel` or `car`.
    #[serde(default)]
    sold_out: Option<String>,
}

#[data]
#[derive(Debug, PartialEq, Eq)]
pub struct Booking {
    what: String,
    code: String,
}

#[data]
#[derive(Debug, PartialEq, Eq)]
pub struct Itinerary {
    bookings: Vec<Booking>,
}

/// What is to be undone: a booking that was made.
#[data]
#[derive(Debug)]
pub struct Undo {
    /// What the booking was made for.
    input: Trip,
    /// The booking.
    output: Booking,
}

/// Books a flight, then a hotel, then a car; and nothing of that, when one of them cannot be had.
#[handler]
pub fn trip(trip: Trip) -> Result<Outcome<Itinerary>, TaskError> {
    let plan = Plan::new()
        .child("flight", book_flight::task(trip.clone()).undo(cancel_flight::NAME))
        .child("hotel", book_hotel::task(trip.clone()).undo(cancel_hotel::NAME).after("flight"))
        .child("car", book_car::task(trip).undo(cancel_car::NAME).after("hotel"))
        .join("itinerary", itinerary::task(()).after("flight").after("hotel").after("car"))
        .on_failure(OnFailure::Compensate);
    Ok(plan.into())
}

/// Books the flight.
#[handler]
pub fn book_flight(trip: Trip) -> Result<Booking, TaskError> {
    book("flight", &trip)
}

/// Books the hotel.
#[handler]
pub fn book_hotel(trip: Trip) -> Result<Booking, TaskError> {
    book("hotel", &trip)
}

/// Books the car.
#[handler]
pub fn book_car(trip: Trip) -> Result<Booking, TaskError> {
    book("car", &trip)
}

/// Cancels the flight.
#[handler]
pub fn cancel_flight(undo: Undo) -> Result<(), TaskError> {
    cancel("flight", &undo)
}

/// Cancels the hotel.
#[handler]
pub fn cancel_hotel(undo: Undo) -> Result<(), TaskError> {
    cancel("hotel", &undo)
}

/// Cancels the car.
#[handler]
pub fn cancel_car(undo: Undo) -> Result<(), TaskError> {
    cancel("car", &undo)
}

/// Puts the bookings together.
#[handler]
pub fn itinerary(ctx: &Context) -> Result<Itinerary, TaskError> {
    let bookings = ["flight", "hotel", "car"].map(|what| ctx.output::<Booking>(what));
    Ok(Itinerary { bookings: bookings.into_iter().collect::<Result<_, _>>()? })
}

export!(trip, book_flight, book_hotel, book_car, cancel_flight, cancel_hotel, cancel_car, itinerary);

/// A request to whoever sells it. The code is made of the trip and not of chance: an attempt that is run again after its host
/// was lost books the same, and not another one.
fn book(what: &str, trip: &Trip) -> Result<Booking, TaskError> {
    if trip.sold_out.as_deref() == Some(what) {
        return Err(TaskError::fatal(format!("no {what} is left in {}", trip.city)).with_kind("sold-out"));
    }
    let code = code(what, trip);
    log::info!("booked the {what} {code}");
    Ok(Booking { what: what.into(), code })
}

/// Undoing twice is as good as once, and so is undoing what was never done: a host that was lost may have done half of it.
fn cancel(what: &str, Undo { input, output }: &Undo) -> Result<(), TaskError> {
    log::info!("cancelled the {what} {} of {}", output.code, input.traveller);
    Ok(())
}

fn code(what: &str, trip: &Trip) -> String {
    format!("{what}/{}/{}", trip.city, trip.traveller).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::Attempt;

    fn ada(sold_out: Option<&str>) -> Trip {
        Trip { traveller: "Ada".into(), city: "Turin".into(), sold_out: sold_out.map(str::to_owned) }
    }

    #[test]
    fn every_booking_can_be_undone_and_the_plan_says_when() {
        let Ok(Outcome::Decompose(plan)) = trip(ada(None)) else { panic!("it decomposes") };
        assert_eq!((plan.option("on-failure"), plan.joined_by()), (Some("compensate"), Some("itinerary")));
        let undone: Vec<_> = plan.children().map(|(name, child)| (name, child.option("undo"))).collect();
        let expected =
            [("flight", Some("cancel-flight")), ("hotel", Some("cancel-hotel")), ("car", Some("cancel-car"))];
        assert_eq!(undone[..3], expected);
        assert_eq!(undone[3], ("itinerary", None));
        assert_eq!(plan.child_named("car").expect("it is there").waits_for().collect::<Vec<_>>(), ["hotel"]);
    }

    #[test]
    fn what_is_sold_out_is_not_tried_again() {
        let error = book_car(ada(Some("car"))).expect_err("there is none");
        assert_eq!((error.kind(), error.message()), ("sold-out", "no car is left in Turin"));
        assert!(book_hotel(ada(Some("car"))).is_ok());
    }

    #[test]
    fn itinerary_has_all_bookings() {
        let attempt = Attempt::new()
            .given("flight", book_flight(ada(None)).expect("booked"))
            .given("hotel", book_hotel(ada(None)).expect("booked"))
            .given("car", book_car(ada(None)).expect("booked"));
        let itinerary = itinerary(&attempt.context()).expect("all are there");
        let codes: Vec<_> = itinerary.bookings.iter().map(|booking| booking.code.as_str()).collect();
        assert_eq!(codes, ["flight/turin/ada", "hotel/turin/ada", "car/turin/ada"]);
    }

    #[test]
    fn itinerary_without_a_booking_fails() {
        let error = itinerary(&Attempt::new().context()).expect_err("nothing was booked");
        assert_eq!(error.message(), "there is no `flight` that the task has waited for");
    }
}
