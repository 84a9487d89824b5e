//! The panic fence.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`; a panic becomes its text.
///
/// Unwind safety is asserted here because whoever failed is dropped before anybody looks at it.
pub(crate) fn fenced<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(text_of)
}

fn text_of(payload: Box<dyn Any + Send>) -> String {
    let text = match payload.downcast_ref::<&'static str>() {
        Some(text) => (*text).to_owned(),
        None => match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "panic without a text".to_owned(),
        },
    };
    // A payload may panic in its own Drop.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    #[test]
    fn every_kind_of_payload_is_caught() {
        assert_eq!(fenced(|| 7), Ok(7));
        assert_eq!(fenced(|| panic!("plain")), Err::<(), _>("plain".into()));
        assert_eq!(fenced(|| panic!("n {}", 1)), Err::<(), _>("n 1".into()));
        let odd = fenced(|| std::panic::panic_any(Bomb));
        assert_eq!(odd, Err::<(), _>("panic without a text".into()));
    }
}
