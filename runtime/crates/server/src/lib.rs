//! The HTTP API of a host, under `/v1`: JSON in and out, components as they are, errors as problem+json (RFC 9457); and a dashboard,
//! under `/ui`, which asks that API for all that it shows and does.
//!
//! On a loopback address whoever reaches it may do everything, unless told otherwise; on any other only whoever has a key, and what
//! that may ([`Admission`]). It checks Host and Origin of every request and takes no body that a web page could send without asking
//! first, so that no page that somebody visits can submit a task. What is checked of tasks and components is the business of [`sunaba_host`].
//!
//! The server is behind the feature `serve`. Without it there is what goes over the wire, [`api`] and [`Problem`], which a client
//! has in common with it; that brings neither an engine nor a store nor a server.

#![cfg_attr(not(feature = "serve"), allow(dead_code, unused_imports, reason = "what would use it is not there"))]

#[cfg(feature = "serve")]
mod access;
pub mod api;
#[cfg(feature = "serve")]
mod body;
#[cfg(feature = "serve")]
mod envelope;
#[cfg(feature = "serve")]
mod extract;
#[cfg(feature = "serve")]
mod file_body;
#[cfg(feature = "serve")]
mod guard;
#[cfg(feature = "serve")]
mod metrics;
#[cfg(feature = "serve")]
mod openapi;
#[cfg(feature = "serve")]
mod operations;
#[cfg(feature = "serve")]
mod patient;
mod problem;
#[cfg(feature = "serve")]
mod range;
#[cfg(feature = "serve")]
mod routes;
#[cfg(feature = "serve")]
mod server;
#[cfg(feature = "serve")]
mod ui;
#[cfg(feature = "serve")]
mod unread;

#[cfg(feature = "serve")]
pub use access::Admission;
#[cfg(feature = "serve")]
pub use openapi::{openapi, openapi_text};
#[cfg(feature = "serve")]
pub use operations::{Access, Operation, operations};
pub use problem::Problem;
#[cfg(feature = "serve")]
pub use server::{BindError, NotAdmitted, Server};
#[cfg(feature = "serve")]
pub use ui::{Setting, Settings};
