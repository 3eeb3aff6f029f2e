//! `sim laws`.

use std::io::{self, Write};

use models::laws::{Law, NOT_JUDGED};

use super::{Exit, Failure};

/// Prints every law with what it says and where it comes from, then those of the catalogue that are not judged.
///
/// # Errors
/// The output cannot be written.
pub(super) fn laws() -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    for law in Law::ALL {
        writeln!(out, "{:<26} {}", law.name(), law.says())?;
        writeln!(out, "{:<26}   {}", "", law.source())?;
    }
    writeln!(out, "\nNot judged, and what it would need")?;
    for (name, needs) in NOT_JUDGED {
        writeln!(out, "{name:<26} {needs}")?;
    }
    Ok(Exit::Clean)
}
