//! Guests and inputs that mean harm.
//!
//! The table says of each what must become of it. `run` holds `sunaba run` to that, `arena` a whole host. `lifecycle` does
//! what takes more than one attempt. Both have well-behaved tasks beside it and leave nothing behind, which `others` sees
//! to. `names` holds the guests' folder to the table.

mod arena;
mod bounds;
mod case;
mod inputs;
mod lifecycle;
mod measure;
mod names;
mod others;
mod run;
mod server;
mod table;
mod uploads;
