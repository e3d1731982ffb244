//! An allocator for one decision: it hands out what comes next and takes nothing back, since the instance goes with its answer.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

/// The allocator that [`export!`](crate::export) gives a decider. Memory grows as it is needed, up to the host's limit.
#[derive(Debug)]
pub struct Bump {
    /// The next free byte, and the end of the memory; both 0 before the first use.
    next: Cell<usize>,
    end: Cell<usize>,
}

// SAFETY: a component instance has one thread.
#[allow(unsafe_code)]
unsafe impl Sync for Bump {}

impl Bump {
    /// One that has handed out nothing.
    #[must_use]
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self { next: Cell::new(0), end: Cell::new(0) }
    }

    /// The place of so many bytes, if there is memory for them; `grow` gives the beginning of new memory.
    fn place(&self, layout: Layout, grow: impl FnOnce(usize) -> Option<(usize, usize)>) -> Option<usize> {
        let align = |at: usize| at.checked_next_multiple_of(layout.align());
        let start = align(self.next.get())?;
        let stop = start.checked_add(layout.size())?;
        if self.next.get() != 0 && stop <= self.end.get() {
            self.next.set(stop);
            return Some(start);
        }
        let (begin, end) = grow(layout.size().checked_add(layout.align())?)?;
        // New memory follows the old, unless somebody else has taken some.
        let from = if begin == self.end.get() && self.next.get() != 0 { self.next.get() } else { begin };
        let start = align(from)?;
        let stop = start.checked_add(layout.size())?;
        self.next.set(stop);
        self.end.set(end);
        Some(start)
    }
}

#[cfg(target_family = "wasm")]
fn grow(bytes: usize) -> Option<(usize, usize)> {
    const PAGE: usize = 65_536;
    let pages = bytes.div_ceil(PAGE);
    let before = core::arch::wasm32::memory_grow(0, pages);
    (before != usize::MAX).then(|| (before * PAGE, (before + pages) * PAGE))
}

#[cfg(not(target_family = "wasm"))]
fn grow(_: usize) -> Option<(usize, usize)> {
    None
}

// SAFETY: what is handed out lies in memory that this instance has grown, is aligned, and is handed out once.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.place(layout, grow).map_or(core::ptr::null_mut(), |start| start as *mut u8)
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// The component model's `cabi_realloc`, for [`export!`](crate::export).
///
/// # Safety
/// `old` is null, or has `had` bytes that `allocator` has handed out.
#[doc(hidden)]
#[allow(unsafe_code)]
pub unsafe fn realloc(allocator: &Bump, old: *mut u8, had: usize, align: usize, wanted: usize) -> *mut u8 {
    let Ok(layout) = Layout::from_size_align(wanted, align) else { return core::ptr::null_mut() };
    if wanted == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the size is not zero; what is copied lies in what was handed out, and the new room is no part of the old.
    unsafe {
        let new = allocator.alloc(layout);
        if !new.is_null() && had > 0 {
            core::ptr::copy_nonoverlapping(old, new, had.min(wanted));
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_aligned_and_never_overlap() {
        let (bump, end) = (Bump::new(), Cell::new(65_536));
        let mut last = 0;
        for (size, align) in [(3, 1), (8, 8), (1, 1), (70_000, 16), (5, 4), (100, 64)] {
            let layout = Layout::from_size_align(size, align).expect("valid");
            let grow = |bytes: usize| {
                let begin = end.get();
                end.set(begin + bytes.div_ceil(65_536) * 65_536);
                Some((begin, end.get()))
            };
            let start = bump.place(layout, grow).expect("there is memory");
            assert!(start >= last && start % align == 0 && start + size <= end.get(), "{start} {size} {align}");
            last = start + size;
        }
    }

    #[test]
    fn what_there_is_no_memory_for_is_refused() {
        let bump = Bump::new();
        let layout = Layout::from_size_align(8, 8).expect("valid");
        assert_eq!(bump.place(layout, |_| None), None);
        assert_eq!(bump.place(layout, |_| Some((64, 128))), Some(64));
    }
}
