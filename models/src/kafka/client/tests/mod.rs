//! The clients against a scripted broker.
