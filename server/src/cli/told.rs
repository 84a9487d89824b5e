//! Errors as operators read them: with what led to them.

use std::error::Error;

/// An error, and after it what each of its sources adds.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for part in chain(error) {
        let words = part.to_string();
        // Some say what their source says.
        if text.contains(&words) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&words);
    }
    text
}

/// An error and its sources.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut chain = vec![error];
    let mut at = error;
    while let Some(source) = at.source() {
        chain.push(source);
        at = source;
    }
    chain
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no store: {0}")]
    struct Repeats(#[source] Adds);

    #[derive(Debug, thiserror::Error)]
    #[error("the file is refused")]
    struct Adds(#[source] io::Error);

    #[test]
    fn each_source_is_told_once() {
        let error = Repeats(Adds(io::Error::other("the disk is full")));
        assert_eq!(
            told(&error),
            "no store: the file is refused: the disk is full"
        );
        assert_eq!(chain(&error).len(), 3);
    }
}
