//! Fuzzing: many schedules, what they broke, and the smallest seed of each failure.
//!
//! [`spec`] says what a campaign runs; the result of a case depends on that and on its seed, never on the number of jobs, the
//! shard or the order. [`case`] runs one; [`campaign`] runs all on several threads; [`store`] keeps what is finished, so that
//! neither an interrupt nor a kill loses it; [`findings`] groups failures, [`summary`] adds up; [`junit`] and [`annotate`]
//! write what CI systems read. [`guided`] chooses schedules by what earlier ones reached; [`hunt`] counts them to the first failure.

pub mod annotate;
pub mod campaign;
pub mod case;
pub mod findings;
pub mod guided;
pub mod hunt;
pub mod junit;
pub mod memory;
pub mod spec;
pub mod store;
pub mod summary;
