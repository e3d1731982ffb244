//! Stories and pictures of whole jobs, which a store in memory has run by a clock of our own.

mod causes;
mod house;
mod pictures;
mod stories;
mod waits;

use house::{End, House, ended_well, job, node, rule};
