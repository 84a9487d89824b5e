//! The `troupe` binary; everything is in the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    troupe_server::cli::main()
}
