//! Prints the JSON Schema of the client protocol; `signaling/js` makes its types from it.
#![forbid(unsafe_code)]

use std::io::{self, Write};

fn main() -> io::Result<()> {
    writeln!(io::stdout().lock(), "{:#}", signaling::schema())
}
