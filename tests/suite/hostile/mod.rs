//! Guests and inputs that mean harm.
//!
//! The table says of each what must become of it. `run` holds `sunaba run` to that, `arena` a whole host: with
//! well-behaved tasks beside it, and nothing left behind. `names` holds the guests' folder to the table.

mod arena;
mod bounds;
mod case;
mod inputs;
mod lifecycle;
mod measure;
mod names;
mod run;
mod table;
mod uploads;
