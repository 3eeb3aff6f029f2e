//! server

/// What its timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZkServerTimer {}

/// On the quorum port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QuorumPacket {}

/// On the election port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElectionPacket {}

impl QuorumPacket {
    /// Bytes on the wire.
    pub fn wire_size(&self) -> u32 {
        match *self {}
    }
}

impl ElectionPacket {
    /// Bytes on the wire.
    pub fn wire_size(&self) -> u32 {
        match *self {}
    }
}
