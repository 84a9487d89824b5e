//! The panic fence around each transport.
//!
//! A transport parses what strangers send and drives libraries that we did not write. If it panics,
//! that transport is lost and nothing else: its state is never touched again but to drop it, so it
//! does not matter that the panic may have left it half changed.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A call panicked; what it worked on must not be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("panicked inside its fence")]
pub(crate) struct Crashed;

/// Calls what may panic while it makes something.
pub(crate) fn fence<R>(call: impl FnOnce() -> R) -> Result<R, Crashed> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        discard(payload);
        Crashed
    })
}

/// What may panic, behind its fence. After the first panic it is out of reach.
#[derive(Debug)]
pub(crate) struct Fenced<T> {
    inner: Option<Box<T>>,
}

impl<T> Fenced<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner: Some(Box::new(inner)),
        }
    }

    /// Calls into it; `Err` if it panics now or has panicked before.
    pub(crate) fn call<R>(&mut self, call: impl FnOnce(&mut T) -> R) -> Result<R, Crashed> {
        let inner = self.inner.as_mut().ok_or(Crashed)?;
        catch_unwind(AssertUnwindSafe(|| call(inner))).map_err(|payload| {
            // Dropping what was left half changed may panic in turn, and so may the payload.
            let broken = self.inner.take();
            discard(broken);
            discard(payload);
            Crashed
        })
    }

    /// Looks at it without changing it; `None` once it has panicked.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        let inner = self.inner.as_ref()?;
        catch_unwind(AssertUnwindSafe(|| look(inner))).ok()
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        discard(self.inner.take());
    }
}

fn discard<T>(value: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(value))).is_err() {
        tracing::error!("panic while dropping a crashed transport");
    }
}

/// A panic made on purpose. It skips the panic hook: it is expected.
pub(crate) fn inject_fault() {
    std::panic::resume_unwind(Box::new("injected fault"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_stays_inside() {
        let mut fenced = Fenced::new(1);
        assert_eq!(fenced.call(|n| *n + 1), Ok(2));
        assert_eq!(fenced.call(|_| inject_fault()), Err(Crashed));
        assert_eq!(fenced.call(|n| *n), Err(Crashed));
        assert_eq!(fenced.peek(|n| *n), None);
    }

    #[test]
    fn a_panic_while_dropping_stays_inside() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    inject_fault();
                }
            }
        }
        let mut fenced = Fenced::new(Bomb);
        assert_eq!(fenced.call(|_| inject_fault()), Err(Crashed));
        drop(Fenced::new(Bomb));
    }
}
