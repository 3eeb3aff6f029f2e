//! The output directory: what is finished stays finished.
//!
//! ```text
//! campaign.json      what is run; another campaign is refused
//! results.jsonl      a line for each finished case, in the order in which they ended
//! failures/17.flt    the replay file of seed 17
//! corpus.json        of guided search: what it knows after its last complete generation
//! corpus/17.yaml     the schedule of case 17, which reached something new, as a scenario file
//! ```
//!
//! A line of `results.jsonl` is written when its replay file is complete, with a single write. A kill can tear the last
//! line; it is cut off when the campaign goes on, and its case is run again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use replay::file::FileError;
use replay::record::Record;
use thiserror::Error;

use super::case::CaseResult;
use super::guided::Admitted;
use super::guided::corpus::Corpus;
use super::spec::Spec;

const CAMPAIGN: &str = "campaign.json";
const RESULTS: &str = "results.jsonl";
const FAILURES: &str = "failures";
const CORPUS: &str = "corpus";
const CORPUS_STATE: &str = "corpus.json";

/// Why an output directory cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// It holds another campaign.
    #[error("{path} holds another campaign ({differences}); give the same options to continue it, or another `--out`")]
    Other {
        /// The directory.
        path: PathBuf,
        /// How it differs.
        differences: String,
    },
    /// Another process writes to it.
    #[error("{path} is in use by another `sim fuzz`")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file in it is not what this build writes.
    #[error("{path}:{line}: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A replay file could not be written.
    #[error(transparent)]
    Replay(#[from] FileError),
}

/// An output directory in use.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    results: File,
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    |source| StoreError::Io { path, source }
}

impl Store {
    /// Begins a campaign in `folder`, or continues it: then with the results that it has, by seed.
    ///
    /// # Errors
    /// The directory cannot be used, or holds another campaign.
    pub fn open(folder: &Path, spec: &Spec) -> Result<(Self, BTreeMap<u64, CaseResult>), StoreError> {
        let failures = folder.join(FAILURES);
        fs::create_dir_all(&failures).map_err(io_error(&failures))?;
        let path = folder.join(RESULTS);
        let results = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(io_error(&path))?;
        match results.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(StoreError::Io { path, source }),
        }
        check_campaign(folder, spec)?;
        let store = Self { folder: folder.to_owned(), results };
        let finished = store.read(&path)?;
        Ok((store, finished))
    }

    /// Reads what is finished, and cuts a torn last line off.
    fn read(&self, path: &Path) -> Result<BTreeMap<u64, CaseResult>, StoreError> {
        let text = fs::read(path).map_err(io_error(path))?;
        let complete = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        if complete < text.len() {
            self.results.set_len(complete as u64).map_err(io_error(path))?;
        }
        let mut finished = BTreeMap::new();
        for (number, line) in (1..).zip(text[..complete].split(|byte| *byte == b'\n')) {
            if line.is_empty() {
                continue;
            }
            let result: CaseResult = serde_json::from_slice(line).map_err(|error| StoreError::Damaged {
                path: path.to_owned(),
                line: number,
                why: format!("no result of a case: {error}"),
            })?;
            finished.insert(result.seed, result);
        }
        Ok(finished)
    }

    /// Keeps a result, and the record of a failure.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn keep(&mut self, result: &mut CaseResult, record: Option<&Record>) -> Result<(), StoreError> {
        if let (Some(failure), Some(record)) = (&mut result.failure, record) {
            let name = format!("{FAILURES}/{}.flt", result.seed);
            replay::file::write(&self.folder.join(&name), record)?;
            failure.replay = Some(name);
        }
        let path = self.folder.join(RESULTS);
        let mut line = serde_json::to_vec(result).map_err(io::Error::from).map_err(io_error(&path))?;
        line.push(b'\n');
        self.results.write_all(&line).map_err(io_error(&path))
    }

    /// What guided search knew when it was last here.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn corpus(&self) -> Result<Corpus, StoreError> {
        let path = self.folder.join(CORPUS_STATE);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| StoreError::Damaged {
                path,
                line: error.line(),
                why: format!("not the corpus of a campaign: {error}"),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Corpus::default()),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    /// Keeps what guided search knows; `admitted` are the cases whose schedules are new in it, as files.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn keep_corpus(&self, corpus: &Corpus, admitted: &[Admitted]) -> Result<(), StoreError> {
        let folder = self.folder.join(CORPUS);
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        for (number, text) in admitted {
            write_atomically(&folder.join(format!("{number}.yaml")), text.as_bytes())?;
        }
        let path = self.folder.join(CORPUS_STATE);
        let text = serde_json::to_vec(corpus).map_err(io::Error::from).map_err(io_error(&path))?;
        write_atomically(&path, &text)
    }

    /// The directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The directory is of this campaign, or of none yet.
fn check_campaign(folder: &Path, spec: &Spec) -> Result<(), StoreError> {
    let path = folder.join(CAMPAIGN);
    match fs::read(&path) {
        Ok(text) => {
            let known: Spec = serde_json::from_slice(&text).map_err(|error| StoreError::Damaged {
                path: path.clone(),
                line: error.line(),
                why: format!("not the description of a campaign: {error}"),
            })?;
            if known == *spec {
                return Ok(());
            }
            let differences = known.differences(spec).join("; ");
            Err(StoreError::Other { path: folder.to_owned(), differences })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = serde_json::to_vec_pretty(spec).map_err(io::Error::from).map_err(io_error(&path))?;
            write_atomically(&path, &text)
        }
        Err(source) => Err(StoreError::Io { path, source }),
    }
}

/// Writes a file that appears under its name only when it is complete.
///
/// # Errors
/// The operating system refused.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::write(&partial, bytes).map_err(io_error(&partial))?;
    fs::rename(&partial, path).map_err(io_error(path))
}
