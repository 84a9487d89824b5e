//! What may be done before the handshake has shown that nobody repeats an earlier flight.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Comes back when the handshake is done.
pub(super) type Confirmed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The version and the first message of an RTMP client's handshake (RTMP 1.0, section 5.2): what
/// can be answered without consequence.
const RTMP_GREETING_BYTES: usize = 1 + 1_536;

/// The bytes of an RTMP connection, its greeting alone until the handshake is done.
pub(super) struct Early<R> {
    inner: R,
    left: usize,
    confirmed: Option<Confirmed>,
}

impl<R> Early<R> {
    pub(super) const fn new(inner: R, confirmed: Confirmed) -> Self {
        Self {
            inner,
            left: RTMP_GREETING_BYTES,
            confirmed: Some(confirmed),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Early<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(confirmed) = &mut this.confirmed {
            if confirmed.as_mut().poll(context).is_ready() {
                this.confirmed = None;
            } else if this.left == 0 {
                return Poll::Pending;
            }
        }
        if this.confirmed.is_none() {
            return Pin::new(&mut this.inner).poll_read(context, buffer);
        }
        let mut some = buffer.take(this.left);
        ready!(Pin::new(&mut this.inner).poll_read(context, &mut some))?;
        let count = some.filled().len();
        // `some` wrote into the same memory, of which `buffer` does not know yet.
        let bytes = some.filled().to_vec();
        buffer.put_slice(&bytes);
        this.left -= count;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_greeting_alone_passes_before_the_handshake_is_done() {
        let (done, confirmed) = oneshot::channel::<()>();
        let confirmed = async move {
            let _ = confirmed.await;
        };
        let bytes: Vec<u8> = (0..4_000_u32).map(|at| at.to_le_bytes()[0]).collect();
        let mut early = Early::new(&bytes[..], Box::pin(confirmed));
        let mut greeting = vec![0; RTMP_GREETING_BYTES];
        early.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting, bytes[..RTMP_GREETING_BYTES]);
        let mut next = [0; 64];
        let none = std::future::poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut next);
            Poll::Ready(
                Pin::new(&mut early)
                    .poll_read(context, &mut buffer)
                    .is_pending(),
            )
        });
        assert!(none.await);
        done.send(()).unwrap();
        let mut rest = Vec::new();
        early.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, bytes[RTMP_GREETING_BYTES..]);
    }
}
