//! The workspace suite: one binary, a module per concern.
