//! Delta debugging: Zeller and Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, IEEE TSE 28(2), 2002.

/// The smallest part of `items` that `first` still accepts: no single item can go (1-minimal), in the order of `items`.
///
/// `first` gets candidates and returns the position of the first that is accepted. `items` as a whole is taken to be accepted.
/// If acceptance is not monotone, the result is 1-minimal all the same, though there may be smaller ones.
///
/// # Errors
/// Those of `first`; what had been reached by then is in `items`.
pub fn ddmin<T: Clone, E>(
    items: &mut Vec<T>,
    mut first: impl FnMut(&[Vec<T>]) -> Result<Option<usize>, E>,
) -> Result<(), E> {
    if items.is_empty() || first(&[Vec::new()])?.is_some() {
        items.clear();
        return Ok(());
    }
    let mut parts = 2;
    while items.len() >= 2 {
        parts = parts.min(items.len());
        let mut candidates = Vec::new();
        // With two parts each is the complement of the other.
        if parts > 2 {
            candidates.extend(split(items.len(), parts).map(|part| items[part].to_vec()));
        }
        let subsets = candidates.len();
        for part in split(items.len(), parts) {
            let mut rest = items.clone();
            rest.drain(part);
            candidates.push(rest);
        }
        match first(&candidates)? {
            Some(index) => {
                *items = candidates.swap_remove(index);
                parts = if index < subsets { 2 } else { (parts - 1).max(2) };
            }
            None if parts == items.len() => break,
            None => parts *= 2,
        }
    }
    Ok(())
}

/// `parts` ranges of almost equal length over `0..length`.
fn split(length: usize, parts: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..parts).map(move |part| part * length / parts..(part + 1) * length / parts)
}
