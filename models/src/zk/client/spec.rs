//! What a client handle is made of.

use std::sync::Arc;

use crate::id::Address;
use crate::options::OptionValue;
use crate::time::Span;

/// What a handle is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ZkClientSpec {
    /// The connect string. Never empty.
    pub servers: Arc<[Address]>,
    /// The session timeout to ask for.
    pub session_timeout: Span,
    /// Which socket implementation.
    pub socket: ClientCnxnSocket,
    /// Whether the client gives its session up by itself when it has not been connected for 4/3 of the session timeout: the
    /// rule that repairs [`crate::defect::Defect::ClientNeverGivesUp`].
    pub gives_up: bool,
    /// As in [`crate::zk::server::ServerSpec::thread_delay`]: how long the send thread may wait for a core before it tells of a
    /// loss.
    pub thread_delay: Span,
}

/// `zookeeper.clientCnxnSocket`. The two differ in what is sent before the session is confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ClientCnxnSocket {
    /// `ClientCnxnSocketNIO`: nothing follows the ConnectRequest until it is answered, and closing takes 100 ms.
    #[default]
    Nio,
    /// `ClientCnxnSocketNetty`, which TLS needs: queued requests follow the ConnectRequest at once. So a request may take
    /// effect in a session that the client never learns of (KAFKA-14845).
    Netty,
}

impl OptionValue for ClientCnxnSocket {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().trim_start_matches("org.apache.zookeeper.") {
            "ClientCnxnSocketNIO" => Ok(Self::Nio),
            "ClientCnxnSocketNetty" => Ok(Self::Netty),
            _ => {
                Err("org.apache.zookeeper.ClientCnxnSocketNIO or org.apache.zookeeper.ClientCnxnSocketNetty".to_owned())
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Nio => "org.apache.zookeeper.ClientCnxnSocketNIO",
            Self::Netty => "org.apache.zookeeper.ClientCnxnSocketNetty",
        }
        .to_owned()
    }
}
