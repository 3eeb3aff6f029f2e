//! Apache ZooKeeper 3.8: the ensemble, its sessions and its tree, and the Java client.

pub mod client;
pub mod config;
pub mod protocol;
pub mod server;
pub mod session_client;
