//! sunaba as a library: what the `sunaba` binary does, for Rust programs that embed it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sunaba_runtime::{Attempt, sandbox::Sandbox, task::{FuelMode, Payload, Unattended}};
//!
//! let sandbox = Sandbox::builder().start()?;
//! let component = sandbox.load(std::fs::read("hello.wasm")?, FuelMode::Exact).await?;
//! let report = Attempt::of(&component, "hello")?
//!     .input(Payload::json(r#"{"name":"Ada"}"#))?
//!     .run(&sandbox, std::sync::Arc::new(Unattended))
//!     .await?;
//! println!("{:?} for {:?} fuel", report.result, report.receipt.fuel);
//! # Ok(())
//! # }
//! ```

mod attempt;
mod report;
mod schema;

pub use attempt::{Attempt, InputError, UnknownHandler};
pub use report::{FailureReport, ReceiptReport, Report, Status};
pub use schema::{Schema, SchemaError};
pub use {sunaba_sandbox as sandbox, sunaba_task as task};
