//! Pipes in memory, which are the connections of virtual time.
//!
//! As tokio's duplex, but a waker is kept from one wait to the next: a connection of HTTP looks ten times in a request whether
//! something has come, and nearly always nothing has.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::locked;

/// The bytes that a pipe holds in each direction before a writer waits, as much as a Linux socket buffer has at first.
const CAPACITY_BYTES: usize = 64 << 10;

/// One end of a pipe. What is written comes out at the other end; dropping it closes both directions.
#[derive(Debug)]
pub(crate) struct Pipe {
    reads: Half,
    writes: Half,
}

/// One direction.
#[derive(Clone, Debug, Default)]
struct Half(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What was written; the first `start` bytes have been read.
    bytes: Vec<u8>,
    start: usize,
    /// Nothing more is written, or nobody reads any more.
    is_closed: bool,
    reader: Waiting,
    writer: Waiting,
}

/// Who waits on one side.
#[derive(Debug, Default)]
struct Waiting {
    /// Who waited last.
    waker: Option<Waker>,
    /// Whether that is still so.
    waits: bool,
}

impl Waiting {
    fn wait(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            // Does nothing where it is the same task.
            Some(waker) => waker.clone_from(context.waker()),
            None => self.waker = Some(context.waker().clone()),
        }
        self.waits = true;
    }

    fn wake(&mut self) {
        if std::mem::take(&mut self.waits)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

/// The two ends of a new pipe.
pub(crate) fn pipe() -> (Pipe, Pipe) {
    let (there, back) = (Half::default(), Half::default());
    let near = Pipe {
        reads: back.clone(),
        writes: there.clone(),
    };
    let far = Pipe {
        reads: there,
        writes: back,
    };
    (near, far)
}

impl Half {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }
}

impl State {
    /// Makes room for a writer, which waits where there is none; the bytes that fit.
    fn poll_room(&mut self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY_BYTES - (self.bytes.len() - self.start);
        if room == 0 {
            self.writer.wait(context);
            return Poll::Pending;
        }
        // Not at every write, which would move what waits over and over.
        if self.start >= CAPACITY_BYTES / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        Poll::Ready(Ok(room))
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.reader.wake();
        self.writer.wake();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.reads.state();
        let state = &mut *state;
        let waiting = &state.bytes[state.start..];
        if waiting.is_empty() && !state.is_closed && buffer.remaining() > 0 {
            state.reader.wait(context);
            return Poll::Pending;
        }
        let count = waiting.len().min(buffer.remaining());
        buffer.put_slice(&waiting[..count]);
        state.start += count;
        if state.start == state.bytes.len() {
            state.bytes.clear();
            state.start = 0;
        }
        if count > 0 {
            state.writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.writes.state();
        let room = std::task::ready!(state.poll_room(context))?;
        let mut left = room;
        for part in parts {
            let count = part.len().min(left);
            state.bytes.extend_from_slice(&part[..count]);
            left -= count;
        }
        if left < room {
            state.reader.wake();
        }
        Poll::Ready(Ok(room - left))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writes.state().close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        {
            let mut reads = self.reads.state();
            // The own waker holds the task that held this end: it must not outlive it here.
            reads.reader = Waiting::default();
            // Nobody will read what is left.
            reads.bytes = Vec::new();
            reads.start = 0;
            reads.close();
        }
        let mut writes = self.writes.state();
        writes.writer = Waiting::default();
        writes.close();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(future)
    }

    #[test]
    fn carries_bytes_both_ways_and_ends() {
        run(async {
            let (mut near, mut far) = pipe();
            near.write_all(b"hello").await.expect("room");
            far.write_all(b"world").await.expect("room");
            let mut text = [0; 3];
            far.read_exact(&mut text).await.expect("bytes");
            assert_eq!(&text, b"hel");
            near.write_all(b"!").await.expect("room");
            near.shutdown().await.expect("open");
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.expect("an end");
            assert_eq!(rest, b"lo!");
            // The other direction is still open.
            far.write_all(b".").await.expect("room");
            drop(far);
            let mut rest = Vec::new();
            near.read_to_end(&mut rest).await.expect("an end");
            assert_eq!(rest, b"world.");
        });
    }

    #[test]
    fn a_writer_waits_for_room() {
        run(async {
            let (mut near, mut far) = pipe();
            let sent: Vec<u8> = (0..3 * CAPACITY_BYTES).map(|at| at as u8).collect();
            let expected = sent.clone();
            let write = async move {
                near.write_all(&sent).await.expect("the reader is there");
            };
            let mut received = Vec::new();
            let read = far.read_to_end(&mut received);
            let ((), count) = tokio::join!(write, read);
            assert_eq!(count.expect("an end"), expected.len());
            assert_eq!(received, expected);
        });
    }

    #[test]
    fn an_end_that_is_dropped_wakes_who_waits_at_the_other() {
        run(async {
            let (mut near, far) = pipe();
            let mut byte = [0];
            {
                let mut waiting = pin!(near.read(&mut byte));
                let mut context = Context::from_waker(Waker::noop());
                assert!(waiting.as_mut().poll(&mut context).is_pending());
                tokio::join!(async { drop(far) }, async {
                    assert_eq!(waiting.await.expect("an end"), 0);
                });
            }
            let refused = near.write_all(b"x").await.expect_err("nobody reads");
            assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        });
    }

    #[test]
    fn an_end_forgets_its_task() {
        struct Count;
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {}
        }
        let count = Arc::new(Count);
        let waker = Waker::from(Arc::clone(&count));
        let (near, far) = pipe();
        {
            let mut near = pin!(near);
            let mut bytes = [0; 8];
            let mut buffer = ReadBuf::new(&mut bytes);
            let mut context = Context::from_waker(&waker);
            assert!(
                near.as_mut()
                    .poll_read(&mut context, &mut buffer)
                    .is_pending()
            );
        }
        drop(waker);
        // `pin!` has dropped the near end; the far one holds the direction that it read from.
        assert_eq!(Arc::strong_count(&count), 1);
        drop(far);
    }
}
