//! The words that say how something goes wrong.

use models::id::HostId;
use serde::{Deserialize, Serialize};

/// What stops packets, and what their senders learn of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// All packets are dropped; nobody is told.
    #[default]
    Silent,
    /// All packets are dropped, and each is answered by RST, as `reject with tcp reset` does: connections in place break, new
    /// ones are refused.
    Reset,
    /// New connections are refused; those in place go on.
    Refuse,
    /// New connections get no answer; those in place go on (`ct state new drop`).
    NewOnly,
}

impl Mode {
    /// The words for them in scenario files.
    pub const WORDS: &[(&str, Self)] =
        &[("silent", Self::Silent), ("reset", Self::Reset), ("refuse", Self::Refuse), ("new-only", Self::NewOnly)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        word_of(Self::WORDS, self)
    }
}

/// The entry of a routing table that leads nowhere. Models do not tell the errors apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LostRoute {
    /// EINVAL.
    Blackhole,
    /// EHOSTUNREACH.
    #[default]
    Unreachable,
    /// EACCES.
    Prohibit,
}

impl LostRoute {
    /// The words for them in scenario files.
    pub const WORDS: &[(&str, Self)] =
        &[("blackhole", Self::Blackhole), ("unreachable", Self::Unreachable), ("prohibit", Self::Prohibit)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        word_of(Self::WORDS, self)
    }
}

/// What a resolver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DnsAnswer {
    /// The address of another host: whoever listens there on the same port is reached, and taken for the right one.
    Host(HostId),
    /// An error, at once.
    Error,
    /// Nothing, until the resolver gives up.
    Timeout,
    /// An address that the host had once and that nobody has now: what is sent there is lost.
    Stale,
}

/// What becomes of data that was written and not fsynced, when the power goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unsynced {
    /// Nothing of it is left.
    Lose,
    /// All of it is left, as with luck or a kernel that had just written back.
    Keep,
    /// A beginning of it is left, as long as chance has it.
    #[default]
    Torn,
}

impl Unsynced {
    /// The words for them in scenario files.
    pub const WORDS: &[(&str, Self)] = &[("lose", Self::Lose), ("keep", Self::Keep), ("torn", Self::Torn)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        word_of(Self::WORDS, self)
    }
}

/// An error of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errno {
    /// EIO.
    #[default]
    Io,
    /// ENOSPC.
    NoSpace,
    /// EROFS: the file system was remounted read-only.
    ReadOnly,
}

impl Errno {
    /// The words for them in scenario files.
    pub const WORDS: &[(&str, Self)] = &[("EIO", Self::Io), ("ENOSPC", Self::NoSpace), ("EROFS", Self::ReadOnly)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        word_of(Self::WORDS, self)
    }
}

/// Operations of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskOps {
    /// Reads.
    pub read: bool,
    /// Writes into the page cache.
    pub write: bool,
    /// fsync.
    pub sync: bool,
}

impl DiskOps {
    /// All of them.
    pub const ALL: Self = Self { read: true, write: true, sync: true };
    /// Those that change something.
    pub const WRITING: Self = Self { read: false, write: true, sync: true };

    /// Their words in scenario files.
    pub fn words(self) -> Vec<&'static str> {
        let all = [("read", self.read), ("write", self.write), ("sync", self.sync)];
        all.into_iter().filter(|(_, given)| *given).map(|(word, _)| word).collect()
    }
}

/// The word of a value in its table.
fn word_of<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}
