//! Counts what the server holds: memory that is taken while it works.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use tikv_jemallocator::Jemalloc;

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<i64> = const { Cell::new(0) };
}

/// The server's allocator, with a count.
pub(crate) struct Counted;

fn count(change: i64) {
    if COUNTING.try_with(Cell::get).unwrap_or(false) {
        let _ = HELD.try_with(|held| held.set(held.get() + change));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to jemalloc as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { Jemalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { Jemalloc.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size) - signed(layout.size()));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { Jemalloc.realloc(memory, layout, size) }
    }
}

/// Counts what `work` takes and gives back.
pub(crate) fn counted<R>(work: impl FnOnce() -> R) -> R {
    COUNTING.set(true);
    let result = work();
    COUNTING.set(false);
    result
}

/// Bytes taken while counting, and not given back while counting.
pub(crate) fn held() -> i64 {
    HELD.get()
}
