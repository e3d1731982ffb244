//! `wasi:io`: wasmtime-wasi's own implementation on the resource table, in the ledger, with the attempt's switch raced
//! against every call that can wait. A guest that sleeps or waits for a stream is woken when its attempt must end, with an
//! error from inside the call, so that there is a backtrace.

use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError, StreamResult};

use crate::attempt;
use crate::calls::pass_on;
use crate::state::State;
use crate::virtual_poll;

/// As the linker has it.
const POLL: &str = "wasi:io/poll@0.2.12";

/// Adds `wasi:io`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    error::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    streams::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    poll::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    // The two calls in which a guest waits for long show what it had used by then, which only the store knows.
    let mut instance = linker.instance(POLL)?;
    instance.func_wrap_async(
        "poll",
        |mut store: StoreContextMut<'_, State>, (list,): (Vec<Resource<DynPollable>>,)| {
            Box::new(async move {
                attempt::see_fuel(&store);
                Ok((poll::Host::poll(store.data_mut(), list).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]pollable.block",
        |mut store: StoreContextMut<'_, State>, (pollable,): (Resource<DynPollable>,)| {
            Box::new(async move {
                attempt::see_fuel(&store);
                poll::HostPollable::block(store.data_mut(), pollable).await
            })
        },
    )
}

impl error::Host for State {}

impl error::HostError for State {
    pass_on! { error::HostError, table;
        "wasi:io/error.error.drop" fn drop(error: Resource<streams::Error>) -> Result<()>;
        "wasi:io/error.error.to-debug-string" fn to_debug_string(error: Resource<streams::Error>) -> Result<String>;
    }
}

impl poll::Host for State {
    async fn poll(&mut self, list: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        let Self { inner, clock, calls, interrupt, .. } = self;
        let work = async move {
            match clock.own() {
                Some(clock) => virtual_poll::poll(inner.table(), clock, list).await,
                None => poll::Host::poll(inner.table(), list).await,
            }
        };
        calls.wait(interrupt, "wasi:io/poll.poll", 0, work).await
    }
}

impl poll::HostPollable for State {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        let Self { inner, clock, calls, interrupt, .. } = self;
        let work = async move {
            match clock.own() {
                Some(clock) => virtual_poll::block(inner.table(), clock, pollable).await,
                None => poll::HostPollable::block(inner.table(), pollable).await,
            }
        };
        calls.wait(interrupt, "wasi:io/poll.pollable.block", 0, work).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        let Self { inner, clock, calls, interrupt, .. } = self;
        let work = async move {
            match clock.own().and_then(|clock| virtual_poll::timer_is_ready(clock, &pollable)) {
                Some(ready) => Ok(ready),
                None => poll::HostPollable::ready(inner.table(), pollable).await,
            }
        };
        calls.wait(interrupt, "wasi:io/poll.pollable.ready", 0, work).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        let Self { inner, clock, calls, .. } = self;
        calls.call("wasi:io/poll.pollable.drop", 0, || {
            clock.drop(pollable.rep());
            poll::HostPollable::drop(inner.table(), pollable)
        })
    }
}

impl streams::Host for State {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.inner.table(), error)
    }
}

impl streams::HostInputStream for State {
    pass_on! { streams::HostInputStream, table;
        "wasi:io/streams.input-stream.drop" async fn drop(stream: Resource<DynInputStream>) -> Result<()>;
        "wasi:io/streams.input-stream.read"
            fn read(stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>>;
        "wasi:io/streams.input-stream.blocking-read"
            async fn blocking_read(stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>>;
        "wasi:io/streams.input-stream.skip" fn skip(stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64>;
        "wasi:io/streams.input-stream.blocking-skip"
            async fn blocking_skip(stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64>;
        "wasi:io/streams.input-stream.subscribe"
            fn subscribe(stream: Resource<DynInputStream>) -> Result<Resource<DynPollable>>;
    }
}

impl streams::HostOutputStream for State {
    pass_on! { streams::HostOutputStream, table;
        "wasi:io/streams.output-stream.drop" async fn drop(stream: Resource<DynOutputStream>) -> Result<()>;
        "wasi:io/streams.output-stream.check-write" fn check_write(stream: Resource<DynOutputStream>) -> StreamResult<u64>;
        "wasi:io/streams.output-stream.write"
            fn write(stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()>, moves bytes.len();
        "wasi:io/streams.output-stream.subscribe"
            fn subscribe(stream: Resource<DynOutputStream>) -> Result<Resource<DynPollable>>;
        "wasi:io/streams.output-stream.blocking-write-and-flush"
            async fn blocking_write_and_flush(stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()>,
            moves bytes.len();
        "wasi:io/streams.output-stream.blocking-write-zeroes-and-flush"
            async fn blocking_write_zeroes_and_flush(stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()>;
        "wasi:io/streams.output-stream.write-zeroes"
            fn write_zeroes(stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()>;
        "wasi:io/streams.output-stream.flush" fn flush(stream: Resource<DynOutputStream>) -> StreamResult<()>;
        "wasi:io/streams.output-stream.blocking-flush"
            async fn blocking_flush(stream: Resource<DynOutputStream>) -> StreamResult<()>;
        "wasi:io/streams.output-stream.splice"
            fn splice(target: Resource<DynOutputStream>, source: Resource<DynInputStream>, len: u64) -> StreamResult<u64>;
        "wasi:io/streams.output-stream.blocking-splice"
            async fn blocking_splice(
                target: Resource<DynOutputStream>, source: Resource<DynInputStream>, len: u64
            ) -> StreamResult<u64>;
    }
}
