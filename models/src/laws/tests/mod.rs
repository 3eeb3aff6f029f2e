//! Every law fires on a planted history and is silent on a sound one.

pub(super) mod history;
