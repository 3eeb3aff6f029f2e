//! Moving through the time of a run: [`tape`] winds it to any moment, [`odds`] asks what could have come instead, [`doctor`]
//! compares two runs that should be the same.

pub mod doctor;
pub mod odds;
pub mod tape;
pub mod words;
