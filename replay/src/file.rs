//! The replay file: a magic word, the format version, a body in bincode 2 (standard configuration), and a checksum.
//!
//! ```text
//! 0   8  "FAULTLIN"
//! 8   4  format version, little-endian
//! 12  8  length of the body in bytes, little-endian
//! 20  n  the record
//! ..  8  fingerprint of the body, little-endian
//! ```
//!
//! The first twenty bytes never change their meaning, so that any build can say of any file why it cannot read it.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use models::fingerprint::Fingerprint;
use thiserror::Error;

use crate::record::Record;

const MAGIC: &[u8; 8] = b"FAULTLIN";
/// Raised whenever [`Record`] or anything within it changes its shape.
const VERSION: u32 = 3;
/// No record is larger; a damaged length must not make the reader allocate without bound.
const LIMIT: usize = 256 << 20;
const HEADER: usize = 20;
const CHECKSUM: usize = 8;

/// Why a replay file could not be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// Some other kind of file.
    #[error("{path}: not a Faultline replay file (it does not begin with `FAULTLIN`)")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A replay file of another format.
    #[error(
        "{path}: replay format {found}, but this build reads format {VERSION}; replay it with the build that wrote it"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A replay file that is cut short or altered.
    #[error("{path}: damaged replay file: {how}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        how: String,
    },
}

/// Writes a record. The file appears under its name only when it is complete.
///
/// # Errors
/// The operating system refused.
pub fn write(path: &Path, record: &Record) -> Result<(), FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let body = bincode::serde::encode_to_vec(record, bincode::config::standard())
        .map_err(|error| io(std::io::Error::other(error)))?;
    let mut bytes = Vec::with_capacity(HEADER + body.len() + CHECKSUM);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&checksum(&body).to_le_bytes());
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    std::fs::write(&partial, bytes).map_err(io)?;
    std::fs::rename(&partial, path).map_err(io)
}

/// Reads a record.
///
/// # Errors
/// The file cannot be read, is no replay file, has another format, or is damaged.
pub fn read(path: &Path) -> Result<Record, FileError> {
    let bytes = std::fs::read(path).map_err(|source| FileError::Io { path: path.to_owned(), source })?;
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Record, FileError> {
    let damaged = |how: String| FileError::Damaged { path: path.to_owned(), how };
    if bytes.len() < MAGIC.len() || &bytes[..MAGIC.len()] != MAGIC {
        return Err(FileError::Foreign { path: path.to_owned() });
    }
    if bytes.len() < HEADER {
        return Err(damaged(format!("{} bytes, too short for a header", bytes.len())));
    }
    let found = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes were sliced"));
    if found != VERSION {
        return Err(FileError::OtherVersion { path: path.to_owned(), found });
    }
    let length = u64::from_le_bytes(bytes[12..HEADER].try_into().expect("eight bytes were sliced"));
    let rest = &bytes[HEADER..];
    if length.checked_add(CHECKSUM as u64) != Some(rest.len() as u64) {
        return Err(damaged(format!("{} bytes follow the header, {length} + {CHECKSUM} were announced", rest.len())));
    }
    let (body, sum) = rest.split_at(rest.len() - CHECKSUM);
    if checksum(body).to_le_bytes() != sum {
        return Err(damaged("the checksum does not match".to_owned()));
    }
    let (record, used) = bincode::serde::decode_from_slice(body, bincode::config::standard().with_limit::<LIMIT>())
        .map_err(|error| damaged(error.to_string()))?;
    if used != body.len() {
        return Err(damaged(format!("{} bytes after the record", body.len() - used)));
    }
    Ok(record)
}

fn checksum(body: &[u8]) -> u64 {
    let mut fingerprint = Fingerprint::default();
    fingerprint.write(body);
    fingerprint.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(bytes: &[u8]) -> String {
        parse(Path::new("x.flt"), bytes).expect_err("the bytes are not a replay file").to_string()
    }

    fn framed(version: u32, announced: u64, body: &[u8], sum: u64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&announced.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn every_kind_of_bad_file_is_named() {
        let body = [0xff; 9];
        let table: [(Vec<u8>, &str); 6] = [
            (b"PK\x03\x04".to_vec(), "x.flt: not a Faultline replay file (it does not begin with `FAULTLIN`)"),
            (MAGIC.to_vec(), "x.flt: damaged replay file: 8 bytes, too short for a header"),
            (
                framed(9, 9, &body, 0),
                "x.flt: replay format 9, but this build reads format 3; replay it with the build that wrote it",
            ),
            (
                framed(VERSION, 10, &body, 0),
                "x.flt: damaged replay file: 17 bytes follow the header, 10 + 8 were announced",
            ),
            (framed(VERSION, 9, &body, 0), "x.flt: damaged replay file: the checksum does not match"),
            (
                framed(VERSION, u64::MAX, &body, 0),
                "x.flt: damaged replay file: 17 bytes follow the header, 18446744073709551615 + 8 were announced",
            ),
        ];
        for (bytes, expected) in table {
            assert_eq!(complaint(&bytes), expected);
        }
        let undecodable = complaint(&framed(VERSION, 9, &body, checksum(&body)));
        assert!(undecodable.starts_with("x.flt: damaged replay file: "), "{undecodable}");
    }
}
