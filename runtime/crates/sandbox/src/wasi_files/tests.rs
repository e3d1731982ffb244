//! What writes are charged when they leave holes.

use super::*;
use crate::testing::{Folder, block_on, cause, state};
use sunaba_task::{Cause, Limit, Limits};
use wasmtime_wasi_io::bindings::wasi::io::streams::HostOutputStream;

/// A state with a file `new` of no bytes, which is open for writing.
struct Bench {
    state: State,
    file: Resource<Descriptor>,
    folder: Folder,
}

impl Bench {
    async fn new(written_bytes: u64, cap: Option<u64>) -> Self {
        let folder = Folder::new();
        let mut state = state(&Limits { written_bytes, ..Limits::default() }, Some(folder.path()));
        cap.into_iter().for_each(|cap| state.files.cap("/data", cap));
        let (data, _) = preopens::Host::get_directories(&mut state).expect("it is granted").remove(0);
        let (links, access) = (PathFlags::empty(), DescriptorFlags::READ | DescriptorFlags::WRITE);
        let file = state.open_at(data, links, "new".into(), OpenFlags::CREATE, access).await.expect("made");
        Self { state, file, folder }
    }

    fn file(&self) -> Resource<Descriptor> {
        Resource::new_borrow(self.file.rep())
    }

    async fn write(&mut self, bytes: usize, offset: u64) -> Result<u64, Option<Cause>> {
        let file = self.file();
        HostDescriptor::write(&mut self.state, file, vec![b'x'; bytes], offset).await.map_err(why)
    }

    /// By a stream that begins there.
    async fn stream(&mut self, bytes: usize, offset: u64) -> Result<(), Option<Cause>> {
        let file = self.file();
        let stream = self.state.write_via_stream(file, offset).map_err(why)?;
        let written = self.state.blocking_write_and_flush(Resource::new_borrow(stream.rep()), vec![b'x'; bytes]).await;
        HostOutputStream::drop(&mut self.state, stream).await.expect("it is there");
        written.map_err(|error| match error {
            wasmtime_wasi_io::streams::StreamError::Trap(error) => cause(&error),
            other => panic!("it should have been a trap: {other}"),
        })
    }

    fn charged(&self) -> u64 {
        self.state.files.written_bytes()
    }

    fn length(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("new")).expect("made").len()
    }
}

fn why(error: FsError) -> Option<Cause> {
    cause(&error.downcast().expect_err("a trap"))
}

const OVER: Option<Cause> = Some(Cause::Limit(Limit::WrittenBytes));

#[test]
fn hole_before_a_write_is_charged_once() {
    block_on(async {
        let mut bench = Bench::new(10_000, None).await;
        assert_eq!(bench.write(10, 990).await, Ok(10));
        assert_eq!((bench.charged(), bench.length()), (1_000, 1_000));
        // What is written into the hole takes blocks of its own, and so does what is written again.
        assert_eq!(bench.write(10, 0).await, Ok(10));
        assert_eq!((bench.charged(), bench.length()), (1_010, 1_000));
        // Of what reaches over the end, all is written.
        assert_eq!(bench.write(10, 995).await, Ok(10));
        assert_eq!((bench.charged(), bench.length()), (1_020, 1_005));
    });
}

#[test]
fn written_bytes_with_a_hole_obeyed() {
    block_on(async {
        let mut bench = Bench::new(1_000, None).await;
        assert_eq!(bench.write(10, 990).await, Ok(10));
        let mut bench = Bench::new(1_000, None).await;
        assert_eq!(bench.stream(10, 990).await, Ok(()));
        assert_eq!((bench.charged(), bench.length()), (1_000, 1_000));
    });
}

#[test]
fn written_bytes_with_a_hole_violated() {
    block_on(async {
        let mut bench = Bench::new(1_000, None).await;
        assert_eq!(bench.write(10, 991).await, Err(OVER));
        assert_eq!(bench.write(1, u64::MAX).await, Err(OVER));
        assert_eq!(bench.length(), 0);
        // The stream itself, and then what is written to it.
        assert_eq!(bench.stream(0, 1_001).await, Err(OVER));
        assert_eq!(bench.stream(10, 991).await, Err(OVER));
        assert_eq!(bench.length(), 0);
    });
}

#[test]
fn stream_within_a_file_is_charged_for_what_it_writes_alone() {
    block_on(async {
        let mut bench = Bench::new(10_000, None).await;
        bench.write(10, 990).await.expect("within the limit");
        assert_eq!(bench.stream(10, 500).await, Ok(()));
        assert_eq!((bench.charged(), bench.length()), (1_010, 1_000));
        assert_eq!(bench.stream(10, 1_100).await, Ok(()));
        assert_eq!((bench.charged(), bench.length()), (1_120, 1_110));
    });
}

#[test]
fn cap_of_a_directory_with_a_hole_obeyed() {
    block_on(async {
        let mut bench = Bench::new(1 << 30, Some(1_000)).await;
        assert_eq!(bench.write(10, 980).await, Ok(10));
        assert_eq!(bench.stream(8, 992).await, Ok(()));
        assert_eq!((bench.charged(), bench.length()), (1_000, 1_000));
    });
}

#[test]
fn cap_of_a_directory_with_a_hole_violated() {
    block_on(async {
        let mut bench = Bench::new(1 << 30, Some(1_000)).await;
        assert_eq!(bench.write(1, 1_000).await, Err(OVER));
        assert_eq!(bench.stream(1, 1_000).await, Err(OVER));
        assert_eq!(bench.length(), 0);
    });
}

#[test]
fn what_is_not_written_is_given_back() {
    block_on(async {
        let mut bench = Bench::new(10_000, None).await;
        let read = DescriptorFlags::READ;
        let (data, _) = preopens::Host::get_directories(&mut bench.state).expect("it is granted").remove(0);
        let only_read = bench.state.open_at(data, PathFlags::empty(), "new".into(), OpenFlags::empty(), read).await;
        let refused = HostDescriptor::write(&mut bench.state, only_read.expect("it is there"), vec![0; 10], 990).await;
        assert!(refused.expect_err("it may only be read").downcast().is_ok());
        assert_eq!(bench.charged(), 0);
    });
}
