//! How it is proven that the queue loses nothing and never lies: what the tests run briefly, and `cargo xtask soak` for as
//! long as one likes.
//!
//! Each proof takes a seed, drives the production code with it, and reports what it has done, or what it found wrong
//! together with the seed. No test framework and no printing live here.

pub mod crash;
pub mod fuzz;
pub mod model;
pub mod readme;
pub mod seed;
pub mod simulation;
pub mod tally;
pub mod tour;
