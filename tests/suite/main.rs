//! Everything that crosses a crate, in one binary: each test binary links the whole engine.

mod bad_input;
mod command_line;
mod contract;
mod crash;
mod embedding;
mod examples;
mod host;
mod hostile;
mod house;
mod model;
mod readme;
mod sandbox;
mod simulation;
mod support;
