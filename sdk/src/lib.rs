//! All that the author of a [sunaba](https://docs.rs/sunaba-sdk) task handler imports.
//!
//! A handler is a plain function. `#[handler]` turns it into a task handler, `#[data]` makes a type that can be its
//! input or output, and [`export!`] makes the crate a component of handlers:
//!
//! ```
//! use sunaba_sdk::prelude::*;
//!
//! #[data]
//! struct Text {
//!     text: String,
//! }
//!
//! #[data]
//! struct Counts {
//!     words: usize,
//! }
//!
//! /// Counts words.
//! #[handler(max_attempts = 5, backoff = "exponential(1s, max = 1m)", timeout = "30s", memory = "64MiB")]
//! fn word_count(ctx: &Context, input: Text) -> Result<Counts, TaskError> {
//!     ctx.progress(0.0, "counting");
//!     Ok(Counts { words: input.text.split_whitespace().count() })
//! }
//!
//! export!(word_count);
//! # fn main() {
//! # let counts = word_count(&testing::Attempt::new().context(), Text { text: "to be or".into() }).unwrap();
//! # assert_eq!(counts.words, 3);
//! # }
//! # use sunaba_sdk::testing;
//! ```
//!
//! A handler that has more to do than one attempt should can return a [`Plan`] of children instead of an output, or ask for them
//! one by one ([`Context::submit`]); whoever waits for them reads what they gave ([`Context::outputs`]). One that takes long can
//! keep where it is for its next attempt ([`Context::checkpoint`]).
//!
//! Build it with `cargo build --release --target wasm32-wasip2` (crate type `cdylib`), run it with `sunaba run`.
//! In a test on your own machine, call the function, or [`testing::run_json`] for the way that a host takes.

mod artifact;
mod ask;
mod child;
mod context;
mod error;
mod handler;
mod outputs;
mod payload;
mod plan;
mod snooze;
pub mod testing;

#[cfg(target_family = "wasm")]
mod guest;

pub use artifact::{Artifact, ArtifactReader, ArtifactWriter};
pub use ask::{Refusal, RefusalKind, TaskId};
pub use child::{Child, InputOf, OnFailure};
pub use context::{Context, Remaining};
pub use error::{Disposition, ResultExt, TaskError};
pub use handler::{Handler, HandlerResult, Input, IntoOutcome, Outcome, Output};
pub use log;
pub use outputs::{Given, OutputError, Outputs};
pub use payload::{Bytes, Payload};
pub use plan::Plan;
pub use snooze::Snooze;
pub use sunaba_sdk_macros::{data, handler};

/// What a handler needs: `use sunaba_sdk::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Bytes, Child, Context, OnFailure, Outcome, Plan, ResultExt, Snooze, TaskError, data, export, handler, log,
    };
    pub use std::time::Duration;
}

/// What the macros expand to. Not part of the API: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::{Entry, HandlerInfo, assert_distinct, describe, run, task};
    pub use {schemars, serde};

    #[cfg(target_family = "wasm")]
    pub use crate::guest::{bindings, describe_guest, run_guest};
}

/// Makes the crate a component of these handlers. Used once in a crate, in its root.
///
/// ```
/// # use sunaba_sdk::prelude::*;
/// #[handler]
/// fn double(input: u32) -> Result<u32, TaskError> {
///     Ok(input * 2)
/// }
///
/// #[handler]
/// fn halve(input: u32) -> Result<u32, TaskError> {
///     Ok(input / 2)
/// }
///
/// export!(double, halve);
/// # fn main() {}
/// ```
///
/// Two handlers of one name do not compile:
///
/// ```compile_fail
/// # use sunaba_sdk::prelude::*;
/// #[handler]
/// fn double(input: u32) -> Result<u32, TaskError> {
///     Ok(input * 2)
/// }
///
/// export!(double, double);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($($handler:ty),+ $(,)?) => {
        const _: () = {
            const ENTRIES: &[$crate::__private::Entry] = &[$($crate::__private::Entry::of::<$handler>()),+];
            const _: () = $crate::__private::assert_distinct(ENTRIES);

            #[cfg(target_family = "wasm")]
            const _: () = {
                use $crate::__private::bindings::{self, exports::sunaba::task::handlers};

                struct Package;

                impl handlers::Guest for Package {
                    fn describe() -> handlers::PackageInfo {
                        $crate::__private::describe_guest(ENTRIES)
                    }

                    fn run(
                        context: handlers::Context,
                        handler: ::std::string::String,
                        input: handlers::Payload,
                    ) -> ::std::result::Result<handlers::Outcome, handlers::Failure> {
                        $crate::__private::run_guest(ENTRIES, context, &handler, input)
                    }
                }

                bindings::export!(Package with_types_in bindings);
            };
        };
    };
}
