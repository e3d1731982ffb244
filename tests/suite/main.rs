//! Everything that crosses a crate, in one binary: each test binary links the whole engine.

mod artifacts;
mod bad_input;
mod bulk;
mod command_line;
mod compile;
mod contract;
mod crash;
mod data;
mod dead;
mod embedding;
mod events;
mod examples;
mod explain;
mod host;
mod hostile;
mod house;
mod model;
mod options;
mod queues;
mod readme;
mod ready;
mod sandbox;
mod simulation;
mod support;
