//! The valid word nearest to one that is not valid.

/// The candidate nearest to `word`, if one is near enough to be meant: at most a third of its letters differ, or it begins
/// with it.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (candidate.chars().count().max(3) / 3).min(6)
                || (word.len() >= 3 && candidate.to_lowercase().starts_with(&word))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean ...?` or nothing.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}
