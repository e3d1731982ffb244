//! A file as the body of a response: a piece at a time is in memory, and the next is read when that one is sent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sunaba_store::{BlobError, BlobReader, MAX_READ_BYTES};
use sunaba_task::BoxFuture;

/// A reader, and what it has read.
type Read = (Box<dyn BlobReader>, Result<Bytes, BlobError>);

/// Sends so many bytes of a file.
pub(crate) struct FileBody {
    /// None while it reads, and after an error.
    reader: Option<Box<dyn BlobReader>>,
    reading: Option<BoxFuture<'static, Read>>,
    left_bytes: u64,
}

/// Why a response ends before its end. Its connection is closed, so that nobody takes the part for the whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error("the file of an artifact ends too soon")]
    Short,
}

impl FileBody {
    pub(crate) fn new(reader: Box<dyn BlobReader>, length: u64) -> Self {
        Self { reader: Some(reader), reading: None, left_bytes: length }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.left_bytes == 0 {
            return Poll::Ready(None);
        }
        if let Some(mut reader) = self.reader.take() {
            let most = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(MAX_READ_BYTES);
            self.reading = Some(Box::pin(async move {
                let read = reader.read(most).await;
                (reader, read)
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let (reader, read) = ready!(reading.as_mut().poll(context));
        self.reading = None;
        let read =
            read.map_err(Broken::from).and_then(|bytes| if bytes.is_empty() { Err(Broken::Short) } else { Ok(bytes) });
        if let Ok(bytes) = &read {
            self.left_bytes = self.left_bytes.saturating_sub(bytes.len() as u64);
            self.reader = Some(reader);
        }
        Poll::Ready(Some(read.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}
