//! "Did you mean": the nearest of the words that would have been right.

/// The candidate that `word` was probably meant to be, if one is near enough to be worth saying.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > 64 {
        return None; // The distance costs the product of both lengths.
    }
    let plain_word = plain(word);
    let limit = 1 + plain_word.chars().count() / 4;
    candidates
        .into_iter()
        .map(|candidate| (distance(&plain_word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether the two differ in case and separators at most.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.len() <= 64 && plain(one) == plain(other)
}

/// An abbreviation is as near as one wrong letter.
fn distance(word: &str, candidate: &str) -> usize {
    if word.len() >= 4 && candidate.starts_with(word) {
        return usize::from(word != candidate);
    }
    strsim::osa_distance(word, candidate)
}

/// `a`, `b` or `c`, each in quotes.
pub(crate) fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let mut quoted: Vec<String> = words.into_iter().map(|word| format!("\"{word}\"")).collect();
    match (quoted.pop(), quoted.is_empty()) {
        (None, _) => "nothing".to_owned(),
        (Some(last), true) => last,
        (Some(last), false) => format!("{} or {last}", quoted.join(", ")),
    }
}

/// Case and separators set aside: `max_connections` and `maxConnections` are the same mistake.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}
