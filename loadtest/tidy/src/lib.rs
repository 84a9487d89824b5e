//! Reads the tree as text, so that rules about it are tests and not opinions.
//!
//! The rules themselves are in `tests/tidy.rs`; here is what they need: the [`Tree`] of files that
//! git knows, and the [`TABLE`] of who may depend on whom.
#![forbid(unsafe_code)]

mod functions;
mod table;
mod tree;

pub use functions::{Function, functions};
pub use table::{CODEC_BINDINGS, CODECS, Member, Row, TABLE, members};
pub use tree::{File, Tree};
