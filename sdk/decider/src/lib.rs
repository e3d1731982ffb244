//! All that the author of a [sunaba](https://docs.rs/sunaba-decider) decider imports.
//!
//! A decider is one plain function from a [`Situation`] to a [`Decision`]. It decides what follows from an attempt in place of the
//! built-in rules for retries. It is pure: a component of it has no imports at all, so that the same situation always gives the
//! same decision, and anybody can make it again.
//!
//! ```
//! #![cfg_attr(target_family = "wasm", no_std)]
//! use sunaba_decider::prelude::*;
//!
//! fn decide(situation: Situation) -> Decision {
//!     match situation.failure_kind() {
//!         None => Decision::accept("the handler is content"),
//!         Some("rate-limited") => Decision::retry_after(Duration::from_secs(60), "the other side wants to be left alone"),
//!         Some(kind) if situation.failures >= 3 => Decision::give_up(format!("`{kind}` again")),
//!         Some(_) => Decision::retry_after(Duration::from_secs(1), "it may pass"),
//!     }
//! }
//!
//! sunaba_decider::export!(decide);
//! # fn main() {}
//! ```
//!
//! The crate is a `cdylib`; build it with `cargo build --release --target wasm32-wasip2`. In a test on your own machine, call the
//! function with a situation from [`testing`].

#![no_std]

extern crate alloc;

// Where two texts are compared, the compiler calls C's `memcmp`. Nothing else of that library is linked, and nothing of it has
// an import.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
#[link(name = "c")]
unsafe extern "C" {}

mod bump;
mod decision;
mod situation;
pub mod testing;

/// What wit-bindgen makes of `wit/`. The types are exported by the world, so that a decider imports not even those.
#[allow(missing_docs, unreachable_pub, clippy::all, unsafe_code)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "decider",
        pub_export_macro: true,
        std_feature,
        additional_derives: [PartialEq],
        default_bindings_module: "sunaba_decider::bindings",
    });
}

pub use alloc::format;
pub use bindings::exports::sunaba::task::policy::{
    AttemptRecord, Budget, Decision, Observation, Situation, Stop, Verdict,
};
pub use bindings::exports::sunaba::task::types::{
    Child, Dependency, Disposition, Failure, Outcome, Payload, Plan, Snooze,
};
pub use bump::{Bump, realloc};

/// What a decider needs: `use sunaba_decider::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AttemptRecord, Budget, Child, Decision, Dependency, Disposition, Failure, Observation, Outcome, Payload, Plan,
        Situation, Stop, Verdict, format,
    };
    pub use alloc::borrow::ToOwned;
    pub use alloc::string::{String, ToString};
    pub use alloc::vec;
    pub use alloc::vec::Vec;
    pub use core::time::Duration;
}

/// Makes the crate a component of this decider. Used once in a crate, in its root; the crate is `no_std` when it is built for
/// WASM, and gets its allocator and what a panic does (a trap) from here.
///
/// `export!(decide, with std)` leaves both to the standard library. Such a component imports much of what a host has, and a host
/// makes a trap of each of these.
#[macro_export]
macro_rules! export {
    ($decide:path) => {
        $crate::export!($decide, with std);

        #[cfg(target_family = "wasm")]
        const _: () = {
            #[global_allocator]
            static ALLOCATOR: $crate::Bump = $crate::Bump::new();

            #[panic_handler]
            fn panicked(_: &::core::panic::PanicInfo<'_>) -> ! {
                ::core::arch::wasm32::unreachable()
            }

            /// By which the host makes room for what it gives.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn cabi_realloc(old: *mut u8, had: usize, align: usize, wanted: usize) -> *mut u8 {
                // SAFETY: the host calls it as the component model says.
                unsafe { $crate::realloc(&ALLOCATOR, old, had, align, wanted) }
            }
        };
    };
    ($decide:path, with std) => {
        // Natively nobody but its tests calls it.
        #[cfg(not(target_family = "wasm"))]
        const _: fn($crate::Situation) -> $crate::Decision = $decide;

        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::{self, exports::sunaba::task::policy};

            struct Policy;

            impl policy::Guest for Policy {
                fn decide(situation: policy::Situation) -> policy::Decision {
                    $decide(situation)
                }
            }

            bindings::export!(Policy with_types_in bindings);
        };
    };
}
