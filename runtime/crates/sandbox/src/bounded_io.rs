//! `wasi:io` with the attempt's switch raced against every call that can wait.
//!
//! wasmtime-wasi's own implementation, on the resource table, does the work; a guest that sleeps or waits for a stream
//! is woken when its attempt must end, with an error from inside the call, so that there is a backtrace.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError, StreamResult};

use crate::guest_clock::GuestClock;
use crate::interrupt::{Halt, Interrupt};
use crate::state::State;
use crate::virtual_poll;

pub(crate) struct BoundedIo<'a> {
    table: &'a mut ResourceTable,
    interrupt: &'a Interrupt,
    clock: &'a mut GuestClock,
}

struct HasBoundedIo;

impl HasData for HasBoundedIo {
    type Data<'a> = BoundedIo<'a>;
}

fn bounded(state: &mut State) -> BoundedIo<'_> {
    let (table, interrupt, clock) = state.io();
    BoundedIo { table, interrupt, clock }
}

/// Adds `wasi:io`.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    error::add_to_linker::<State, HasBoundedIo>(linker, bounded)?;
    poll::add_to_linker::<State, HasBoundedIo>(linker, bounded)?;
    streams::add_to_linker::<State, HasBoundedIo>(linker, bounded)
}

/// A turned switch, as the error of a stream call.
fn trap(halt: Halt) -> StreamError {
    StreamError::Trap(wasmtime::Error::new(halt))
}

impl error::Host for BoundedIo<'_> {}

impl error::HostError for BoundedIo<'_> {
    fn drop(&mut self, error: Resource<streams::Error>) -> Result<()> {
        error::HostError::drop(self.table, error)
    }

    fn to_debug_string(&mut self, error: Resource<streams::Error>) -> Result<String> {
        error::HostError::to_debug_string(self.table, error)
    }
}

impl poll::Host for BoundedIo<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        let call = "wasi:io/poll.poll";
        match self.clock.own() {
            Some(clock) => self.interrupt.race(call, virtual_poll::poll(self.table, clock, pollables)).await?,
            None => self.interrupt.race(call, poll::Host::poll(&mut *self.table, pollables)).await?,
        }
    }
}

impl poll::HostPollable for BoundedIo<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        let call = "wasi:io/poll.pollable.block";
        match self.clock.own() {
            Some(clock) => self.interrupt.race(call, virtual_poll::block(self.table, clock, pollable)).await?,
            None => self.interrupt.race(call, poll::HostPollable::block(&mut *self.table, pollable)).await?,
        }
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        match self.clock.own().and_then(|clock| virtual_poll::timer_is_ready(clock, &pollable)) {
            Some(ready) => Ok(ready),
            None => poll::HostPollable::ready(self.table, pollable).await,
        }
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        self.clock.drop(pollable.rep());
        poll::HostPollable::drop(self.table, pollable)
    }
}

impl streams::Host for BoundedIo<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.table, error)
    }
}

impl streams::HostInputStream for BoundedIo<'_> {
    async fn drop(&mut self, stream: Resource<DynInputStream>) -> Result<()> {
        let work = streams::HostInputStream::drop(&mut *self.table, stream);
        self.interrupt.race("wasi:io/streams.input-stream.drop", work).await?
    }

    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        streams::HostInputStream::read(self.table, stream, len)
    }

    async fn blocking_read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        let work = streams::HostInputStream::blocking_read(&mut *self.table, stream, len);
        self.interrupt.race("wasi:io/streams.input-stream.blocking-read", work).await.map_err(trap)?
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        streams::HostInputStream::skip(self.table, stream, len)
    }

    async fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        let work = streams::HostInputStream::blocking_skip(&mut *self.table, stream, len);
        self.interrupt.race("wasi:io/streams.input-stream.blocking-skip", work).await.map_err(trap)?
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> Result<Resource<DynPollable>> {
        streams::HostInputStream::subscribe(self.table, stream)
    }
}

impl streams::HostOutputStream for BoundedIo<'_> {
    async fn drop(&mut self, stream: Resource<DynOutputStream>) -> Result<()> {
        let work = streams::HostOutputStream::drop(&mut *self.table, stream);
        self.interrupt.race("wasi:io/streams.output-stream.drop", work).await?
    }

    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        streams::HostOutputStream::check_write(self.table, stream)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        streams::HostOutputStream::write(self.table, stream, bytes)
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> Result<Resource<DynPollable>> {
        streams::HostOutputStream::subscribe(self.table, stream)
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        let work = streams::HostOutputStream::blocking_write_and_flush(&mut *self.table, stream, bytes);
        self.interrupt.race("wasi:io/streams.output-stream.blocking-write-and-flush", work).await.map_err(trap)?
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        let work = streams::HostOutputStream::blocking_write_zeroes_and_flush(&mut *self.table, stream, len);
        self.interrupt
            .race("wasi:io/streams.output-stream.blocking-write-zeroes-and-flush", work)
            .await
            .map_err(trap)?
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        streams::HostOutputStream::write_zeroes(self.table, stream, len)
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        streams::HostOutputStream::flush(self.table, stream)
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        let work = streams::HostOutputStream::blocking_flush(&mut *self.table, stream);
        self.interrupt.race("wasi:io/streams.output-stream.blocking-flush", work).await.map_err(trap)?
    }

    fn splice(
        &mut self,
        target: Resource<DynOutputStream>,
        source: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        streams::HostOutputStream::splice(self.table, target, source, len)
    }

    async fn blocking_splice(
        &mut self,
        target: Resource<DynOutputStream>,
        source: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let work = streams::HostOutputStream::blocking_splice(&mut *self.table, target, source, len);
        self.interrupt.race("wasi:io/streams.output-stream.blocking-splice", work).await.map_err(trap)?
    }
}
