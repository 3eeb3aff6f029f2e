//! What people call the processes.

use std::sync::Arc;

use models::id::ProcessId;

/// Names by process id; cheap to share.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<[String]>);

impl Names {
    /// Names in the order of the process ids.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// A process's name, or its number if it has none.
    pub fn process(&self, id: ProcessId) -> String {
        self.0.get(usize::from(id.0)).cloned().unwrap_or_else(|| id.to_string())
    }
}
