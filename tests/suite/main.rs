//! Everything that crosses a crate, in one binary: each test binary links the whole engine.

mod bad_input;
mod bulk;
mod command_line;
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
mod memory;
mod model;
mod options;
mod queues;
mod readme;
mod sandbox;
mod secrets;
mod simulation;
mod support;
mod usage;
mod versions;
