//! That the ledger sees `wasi:http`, and what a request can make the host hold before it is sent.

use super::*;
use crate::testing::state;
use sunaba_task::Limits;

fn request(state: &mut State) -> Resource<OutgoingRequest> {
    let fields = HostFields::new(state).expect("room");
    HostOutgoingRequest::new(state, fields).expect("room")
}

fn borrow<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

/// Whether a text of this length is taken, for each of the four.
fn taken(bytes: [usize; 4]) -> [bool; 4] {
    let mut state = state(&Limits::default(), None);
    let [method, scheme, authority, path] = bytes.map(|bytes| "x".repeat(bytes));
    let request = request(&mut state);
    let one = || borrow(&request);
    let taken = [
        state.set_method(one(), Method::Other(method)),
        HostOutgoingRequest::set_scheme(&mut state, one(), Some(Scheme::Other(scheme))),
        state.set_authority(one(), Some(authority)),
        state.set_path_with_query(one(), Some(format!("/{}", &path[1..]))),
    ];
    // Nobody is left in a call, and all were counted with what they moved.
    assert_eq!((state.calls.current(), state.calls.spent().calls), (None, 6));
    assert_eq!(state.calls.spent().moved_bytes, bytes.iter().sum::<usize>() as u64);
    let held = state.inner.table().get(&request).expect("it is there");
    assert_eq!(held.path_with_query.is_some(), taken[3].as_ref().is_ok_and(Result::is_ok));
    taken.map(|taken| taken.expect("no trap").is_ok())
}

const BOUNDS: [usize; 4] = [MAX_METHOD_BYTES, MAX_SCHEME_BYTES, MAX_AUTHORITY_BYTES, MAX_PATH_BYTES];

#[test]
fn texts_of_a_request_obeyed() {
    assert_eq!(taken(BOUNDS), [true; 4]);
}

#[test]
fn texts_of_a_request_violated() {
    assert_eq!(taken(BOUNDS.map(|bound| bound + 1)), [false; 4]);
}

#[test]
fn every_call_is_counted_by_its_name() {
    let mut state = state(&Limits::default(), None);
    let request = request(&mut state);
    HostOutgoingRequest::drop(&mut state, request).expect("it is there");
    let names: Vec<_> = state.calls.spent().by_name.into_iter().map(|(name, _)| name).collect();
    let of = |name| format!("wasi:http/types.{name}");
    assert_eq!(names, [of("fields.new"), of("outgoing-request.drop"), of("outgoing-request.new")]);
}

#[test]
fn call_that_traps_is_the_one_that_is_named() {
    let mut state = state(&Limits::default(), None);
    assert!(HostOutgoingRequest::method(&mut state, Resource::new_borrow(7)).is_err());
    assert_eq!(state.calls.current(), Some("wasi:http/types.outgoing-request.method"));
}

#[test]
fn bytes_that_move_are_limited_both_ways() {
    let mut state = state(&Limits { moved_bytes: 30, ..Limits::default() }, None);
    let fields = HostFields::new(&mut state).expect("room");
    state.append(borrow(&fields), "x-name".into(), b"value".to_vec()).expect("11 of 30");
    assert_eq!(HostFields::entries(&mut state, borrow(&fields)).expect("22 of 30").len(), 1);
    let error = HostFields::entries(&mut state, fields).expect_err("33 of 30");
    assert!(error.is::<Halt>(), "{error:?}");
}

fn filled(state: &mut State, count: usize, value: usize) -> HeaderResult<Resource<FieldMap>> {
    let fields = HostFields::new(state).expect("room");
    for index in 0..count {
        state.append(borrow(&fields), format!("x-{index}"), vec![b'x'; value])?;
    }
    Ok(fields)
}

#[test]
fn count_of_fields_obeyed() {
    let mut state = state(&Limits::default(), None);
    let fields = filled(&mut state, MAX_FIELDS, 1).expect("no more than there may be");
    let listed = HostFields::entries(&mut state, fields).expect("they are there");
    assert!(state.from_list(listed).is_ok());
}

#[test]
fn count_of_fields_violated() {
    let mut state = state(&Limits::default(), None);
    assert!(filled(&mut state, MAX_FIELDS + 1, 1).expect_err("one too many").is_trap());
    assert_eq!(state.calls.current(), Some("wasi:http/types.fields.append"));
    assert!(state.from_list(vec![("x".into(), Vec::new()); MAX_FIELDS + 1]).expect_err("one too many").is_trap());
    let fields = HostFields::new(&mut state).expect("room");
    assert!(
        HostFields::set(&mut state, fields, "x".into(), vec![Vec::new(); MAX_FIELDS + 1])
            .expect_err("one too many")
            .is_trap()
    );
}

#[test]
fn size_of_fields_obeyed_and_violated() {
    let mut state = state(&Limits::default(), None);
    assert!(filled(&mut state, 1, 31 << 10).is_ok());
    assert!(filled(&mut state, 1, 32 << 10).expect_err("too large").is_trap());
}

/// How a body ends with such trailers, and whether something of them stays.
fn finished(count: usize, value: usize) -> (HttpResult<()>, bool) {
    let mut state = state(&Limits::default(), None);
    let request = request(&mut state);
    let body = HostOutgoingRequest::body(&mut state, borrow(&request)).expect("no trap").expect("the first");
    let trailers = filled(&mut state, count, value).expect("they fit");
    let (rep, body_rep) = (trailers.rep(), body.rep());
    let finished = HostOutgoingBody::finish(&mut state, body, Some(trailers));
    let table = state.inner.table();
    let stays = table.get(&Resource::<FieldMap>::new_own(rep)).is_ok()
        || table.get(&Resource::<OutgoingBody>::new_own(body_rep)).is_ok();
    (finished, stays)
}

#[test]
fn trailers_obeyed() {
    for (count, value) in [(MAX_TRAILERS, 1), (1, MAX_TRAILERS_BYTES - 10)] {
        let (finished, stays) = finished(count, value);
        assert!(finished.is_ok() && !stays, "{finished:?}");
    }
}

#[test]
fn trailers_violated() {
    for (count, value) in [(MAX_TRAILERS + 1, 1), (1, MAX_TRAILERS_BYTES)] {
        let (finished, stays) = finished(count, value);
        let error = finished.expect_err("too large").downcast().expect("no trap");
        assert!(matches!(error, ErrorCode::HttpRequestTrailerSectionSize(Some(_))) && !stays, "{error:?}");
    }
}
